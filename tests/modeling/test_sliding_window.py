import pytest
import torch

from mic_det.modeling.sliding_window import slide, window_corners


@pytest.mark.parametrize("stride", [(32, 32), (16, 17), (0, 16), None])
def test_windows_with_gaps_are_refused(stride):
    with pytest.raises(ValueError, match="leaves gaps between windows"):
        window_corners((64, 96), (16, 16), stride)
    with pytest.raises(ValueError, match="leaves gaps between windows"):
        slide(lambda crops: crops, torch.zeros(1, 1, 64, 96), (16, 16), stride)


def test_a_window_larger_than_the_image_sees_it_once():
    images = torch.rand(1, 1, 8, 40)
    assert window_corners((8, 40), (16, 16), (12, 16)) == [(0, 0), (0, 16), (0, 24)]
    torch.testing.assert_close(slide(lambda crops: crops, images, (16, 16), (12, 16)), images)
