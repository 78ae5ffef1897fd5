"""How do latency and energy per sample change with the batch?"""

import pytest

pytestmark = pytest.mark.parametrize("dataset", ["textvqa"])


@pytest.mark.parametrize("batch_size", [1, 4, 8, 16])
def test_batch_size(measure):
    measure()
