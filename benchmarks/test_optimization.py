"""Which way to run the same checkpoint is fastest? The first one is the baseline."""

import pytest

pytestmark = pytest.mark.parametrize("dataset", ["scienceqa"])


@pytest.mark.parametrize("optimization", ["fp16", "fp32", "bf16", "compile", "flash_attention_2"])
def test_optimization(measure):
    measure()
