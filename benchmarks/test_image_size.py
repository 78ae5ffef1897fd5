"""What does a finer input resolution cost, and what does it bring?"""

import pytest

pytestmark = pytest.mark.parametrize("dataset", ["coco", "scienceqa", "textvqa"])


@pytest.mark.parametrize("image_size", [224, 336, 448])
def test_image_size(measure):
    measure()
