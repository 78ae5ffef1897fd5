"""What does a tighter limit on text tokens save, and what does it break?"""

import pytest

pytestmark = pytest.mark.parametrize("dataset", ["coco", "scienceqa", "textvqa"])


@pytest.mark.parametrize("sequence_length", [200, 100, 50])
def test_sequence_length(measure):
    measure()
