"""The GPU's energy counter against its own polled power, and against zeus: ``python -m tools.gpu_energy``.

Needs a CUDA device. One load of matrix products runs for 20 seconds inside one window that all of them watch; the
printed JSON holds the ratios, the machine and the versions. zeus (``pip install zeus``) takes part where it is there.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import time
from typing import TYPE_CHECKING, Any

from blip_fixtures.engine.window import energy_window
from blip_fixtures.meters.nvml import NvmlMeter, driver_version, torch_device_uuid
from blip_fixtures.meters.period import measure_update_period

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.meters import Meter


def side_by_side(meters: Sequence[Meter], work: Callable[[], None]) -> list[dict[str, Any]]:
    """What each meter saw of one run of `work`, and its ratio to the first meter."""
    with contextlib.ExitStack() as stack:
        for meter in meters:
            meter.open()
            stack.callback(meter.close)
            meter.update_period_s = measure_update_period(meter, time.perf_counter)
        with energy_window(meters) as spans:
            work()
    seen = [span.energy() for span in spans]
    return [
        {
            "source": meter.source,
            "update_period_s": meter.update_period_s,
            "joules": energy.joules,
            "error_bound_j": energy.error_bound_j,
            "window_s": energy.window_s,
            "ratio_to_first": energy.joules / seen[0].joules,
        }
        for meter, energy in zip(meters, seen, strict=True)
    ]


def matrix_products(device: str, seconds: float) -> None:
    """Keep the GPU busy for so many seconds."""
    import torch

    matrix = torch.randn(8192, 8192, device=device, dtype=torch.float16)
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        for _ in range(10):
            matrix @ matrix
        torch.cuda.synchronize(device)


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    import torch

    uuid = torch_device_uuid(args.device)
    matrix_products(args.device, 2.0)  # the clocks rise first
    zeus_joules: list[float] = []

    def work() -> None:
        if importlib.util.find_spec("zeus") is None:
            matrix_products(args.device, args.seconds)
            return
        from zeus.monitor import ZeusMonitor

        monitor = ZeusMonitor(gpu_indices=[torch.device(args.device).index or 0])
        monitor.begin_window("load")
        matrix_products(args.device, args.seconds)
        zeus_joules.append(float(monitor.end_window("load").total_energy))

    found: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(args.device),
        "driver": driver_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "nvidia-ml-py", "pytest-blip")},
        "meters": side_by_side([NvmlMeter(uuid), NvmlMeter(uuid, polled=True)], work),
    }
    if zeus_joules:
        found["zeus"] = {
            "version": importlib.metadata.version("zeus"),
            "joules": zeus_joules[0],
            "ratio_to_first": zeus_joules[0] / found["meters"][0]["joules"],
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
