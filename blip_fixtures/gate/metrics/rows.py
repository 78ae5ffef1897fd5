"""The suite's own metrics, in the order in which they are judged."""

from __future__ import annotations

from blip_fixtures.gate import doubts, values
from blip_fixtures.gate.judging import by_samples, exact, of_memory, varying
from blip_fixtures.gate.metrics.metric import BYTES, JOULES, OPERATIONS, SCORE, SECONDS, Metric
from blip_fixtures.words import PassName

ROWS = (
    Metric(
        name="latency",
        unit=SECONDS,
        read=values.latency_s,
        judged=varying,
        measured_by=PassName.LATENCY,
        calibrated=values.calibrated_batches,
        doubt=doubts.of_time,
        is_judged_together=True,
    ),
    Metric(
        name="latency_p90",
        unit=SECONDS,
        read=values.latency_p90_s,
        judged=varying,
        measured_by=PassName.LATENCY,
        calibrated=values.calibrated_p90,
        doubt=doubts.of_time,
        is_judged_together=True,
    ),
    Metric(
        name="time_to_first_token",
        unit=SECONDS,
        read=values.time_to_first_token_s,
        judged=varying,
        measured_by=PassName.PHASES,
        calibrated=values.calibrated_first_token,
        doubt=doubts.of_time,
        is_judged_together=True,
    ),
    Metric(
        name="energy",
        unit=JOULES,
        read=values.energy_j,
        judged=varying,
        measured_by=PassName.ENERGY,
        why=values.why_no_energy,
        doubt=doubts.of_energy,
        error_bound=values.energy_bound,
        is_judged_together=True,
    ),
    Metric(name="flops", unit=OPERATIONS, read=values.flops, judged=exact, measured_by=PassName.FLOPS),
    Metric(name="memory", unit=BYTES, read=values.peak_bytes, judged=of_memory, measured_by=PassName.MEMORY),
    Metric(name="quality", unit=SCORE, read=values.first_mean_score, judged=by_samples, measured_by=PassName.QUALITY),
    Metric(
        name="model_load",
        unit=SECONDS,
        read=values.model_load_s,
        judged=varying,
        doubt=doubts.of_time,
        is_once_a_load=True,
    ),
)
