"""Which way to run the same checkpoint is fastest? The first one is the baseline."""

import pytest

pytestmark = pytest.mark.parametrize("dataset", ["scienceqa"])

ON_CUDA = pytest.mark.only_on("cuda")
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
    pytest.param("bf16+compile", marks=ON_CUDA),
    pytest.param("bf16+compile+int8", marks=ON_CUDA),
    pytest.param("bf16+compile+int4", marks=ON_CUDA),
]


@pytest.mark.parametrize("optimization", OPTIMIZATIONS)
def test_optimization(measure):
    measure()
