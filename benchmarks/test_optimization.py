"""Which way to run the same checkpoint is fastest? The first one is the baseline."""

import pytest

pytestmark = pytest.mark.parametrize("dataset", ["scienceqa"])

OPTIMIZATIONS = [
    "fp16",
    "fp32",
    "bf16",
    "compile",
    "flash_attention_2",
    "fp16+eager",
    "int8",
    "int4",
    "int8_dynamic",
    "bf16+compile+int4+int8_dynamic",
]


@pytest.mark.parametrize("optimization", OPTIMIZATIONS)
def test_optimization(measure):
    measure()
