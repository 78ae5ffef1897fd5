"""The baseline operating point: what a sweep holds fixed unless it says otherwise.

Change a value here and every sweep that does not vary it follows. A second value
in `params` crosses all sweeps with it.
"""

from __future__ import annotations

import pytest

from blip_fixtures.case import axis_id


@pytest.fixture(params=["textvqa"])
def dataset(request: pytest.FixtureRequest) -> str:
    """textvqa, coco or scienceqa."""
    return str(request.param)


@pytest.fixture(params=["fp16"])
def optimization(request: pytest.FixtureRequest) -> str:
    """A name in the registry of `blip_fixtures/optimizations/`."""
    return str(request.param)


@pytest.fixture(params=[16])
def batch_size(request: pytest.FixtureRequest) -> int:
    """Samples in a batch."""
    return int(request.param)


@pytest.fixture(params=[224])
def image_size(request: pytest.FixtureRequest) -> int:
    """The model's input resolution, in pixels a side."""
    return int(request.param)


@pytest.fixture(params=[200])
def sequence_length(request: pytest.FixtureRequest) -> int:
    """The limit on text tokens of a prompt; query tokens are not counted."""
    return int(request.param)


def pytest_make_parametrize_id(val: object, argname: str) -> str:
    """Ids such as `batch01` and `image0224`, so that `-k batch01` does not match `batch16`."""
    return axis_id(argname, val)
