"""At batch 1 the fastest ways are bound by reading weights. What binds them at batch 16?"""

import pytest

pytestmark = pytest.mark.parametrize("dataset", ["scienceqa"])


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("optimization", ["bf16+compile", "bf16+compile+int4+int8_dynamic"])
def test_fastest(measure):
    measure()
