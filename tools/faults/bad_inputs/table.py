"""All bad inputs, group by group."""

from __future__ import annotations

from tools.faults.bad_inputs.of_commands import FLOPS, GATE, OWN_DATA, QUALITY, RENDERING
from tools.faults.bad_inputs.of_data import CHECKPOINTS, DATASETS, PICTURES, PROMPTS
from tools.faults.bad_inputs.of_runs import BASELINES, RESUMING, RUNNING

INPUTS = (
    *RUNNING,
    *BASELINES,
    *RESUMING,
    *DATASETS,
    *PICTURES,
    *PROMPTS,
    *CHECKPOINTS,
    *RENDERING,
    *GATE,
    *QUALITY,
    *OWN_DATA,
    *FLOPS,
)
