import pytest
import torch

from mic_det.adaptation import PixelPseudoLabels, class_shares


def logits_of(probabilities):
    return torch.tensor(probabilities).log().permute(0, 3, 1, 2)


@pytest.fixture
def logits():
    sure, unsure = [0.98, 0.02], [0.4, 0.6]
    return logits_of([[[sure, sure], [sure, unsure]], [[unsure, unsure], [sure, unsure]]])


def test_every_pixel_is_labelled_and_weighted_by_its_images_confident_share(logits):
    labels, weights, qualities = PixelPseudoLabels(0.968)(logits)
    assert qualities.tolist() == [0.75, 0.25]
    assert labels.tolist() == [[[0, 0], [0, 1]], [[1, 1], [0, 1]]]
    torch.testing.assert_close(weights, torch.tensor([0.75, 0.25]).view(2, 1, 1).expand(2, 2, 2))


def test_published_quality_is_one_number_per_batch(logits):
    _, weights, qualities = PixelPseudoLabels(0.968, batch_quality=True)(logits)
    torch.testing.assert_close(weights, torch.full((2, 2, 2), 0.5))
    assert qualities.tolist() == [0.5, 0.5]


def test_margins_have_no_weight_but_count_for_the_quality(logits):
    valid = torch.ones(2, 2, 2, dtype=torch.bool)
    valid[:, 0] = False
    _, weights, qualities = PixelPseudoLabels(0.968)(logits, valid)
    assert qualities.tolist() == [0.75, 0.25]
    assert (weights[:, 0] == 0).all() and weights[0, 1].tolist() == [0.75, 0.75]


def test_a_threshold_of_zero_weighs_everything_fully(logits):
    assert (PixelPseudoLabels(0.0)(logits)[1] == 1).all()
    with pytest.raises(ValueError, match="threshold must lie"):
        PixelPseudoLabels(1.5)


def test_class_shares_are_counted():
    assert class_shares(torch.tensor([[[0, 2], [2, 2]], [[2, 1], [1, 2]]]), 4).tolist() == [0.125, 0.25, 0.625, 0.0]
