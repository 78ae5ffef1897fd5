"""The packaged checkpoint, loaded once for the tests that look inside it."""

from __future__ import annotations

from typing import Any

import pytest

from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import PACKAGED, Checkpoint, resolve_checkpoint


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return resolve_checkpoint(PACKAGED)


@pytest.fixture(scope="session")
def processor(checkpoint: Checkpoint) -> Any:
    return load_processor(checkpoint)


@pytest.fixture(scope="session")
def loaded(checkpoint: Checkpoint) -> LoadedModel:
    return load_model(checkpoint, "cpu", "fp32", "float32")
