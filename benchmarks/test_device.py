"""On which device is one question answered fastest, and with the least energy?"""

import pytest

pytestmark = [pytest.mark.parametrize("dataset", ["textvqa"]), pytest.mark.parametrize("batch_size", [1])]


@pytest.mark.every_device
def test_device(measure):
    measure()
