import pytest
import torch
from torch import nn

from mic_det.adaptation import FeatureDistance
from mic_det.adaptation.feature_distance import majority_labels


def distance(**arguments):
    return FeatureDistance(backbone=nn.Linear(1, 1), num_classes=4, **{"weight": 0.5, "classes": (1, 2), **arguments})


def test_majority_labels_equal_a_loop_over_cells():
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (2, 8, 12))
    labels[:, :4, :4] = 3
    labels[1, 4:, 8:] = 255
    found = majority_labels(labels, (2, 3), 4, 0.6)
    for n in range(2):
        for y in range(2):
            for x in range(3):
                cell = labels[n, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].flatten()
                values, counts = cell.unique(return_counts=True)
                best = values[counts.argmax()] if counts.max() >= 0.6 * 16 else 255
                assert found[n, y, x] == best


def test_a_share_equal_to_the_minimum_passes():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 0] = 1  # 4 of 16 pixels: 0 has exactly three quarters
    assert majority_labels(labels, (1, 1), 2, 0.75) == 0
    labels[0, 1, 0] = 1
    assert majority_labels(labels, (1, 1), 2, 0.75) == 255


def test_the_distance_is_the_mean_l2_norm_over_thing_cells():
    own = {"low": torch.zeros(1, 1, 8, 8), "high": torch.zeros(1, 2, 2, 2)}
    other = {"low": torch.ones(1, 1, 8, 8), "high": torch.tensor([[3.0, 0.0], [6.0, 1.0]]).expand(1, 1, 2, 2)}
    other["high"] = torch.cat([other["high"], other["high"] * 4 / 3], dim=1)  # norms 5, 0, 10, 5/3
    labels = torch.tensor([[1, 0], [2, 3]]).repeat_interleave(4, 0).repeat_interleave(4, 1)[None]
    assert distance()(own, other, labels) == pytest.approx(0.5 * (5 + 10) / 2)
    assert distance(classes=())(own, other, labels) == pytest.approx(0.5 * (5 + 0 + 10 + 5 / 3) / 4)


def test_no_thing_gives_zero_and_a_zero_gradient_instead_of_nan():
    features = torch.rand(1, 2, 2, 2, requires_grad=True)
    loss = distance()({"f": features}, {"f": torch.zeros(1, 2, 2, 2)}, torch.zeros(1, 8, 8, dtype=torch.long))
    loss.backward()
    assert loss == 0 and (features.grad == 0).all()


def test_the_copy_neither_trains_nor_changes_its_mode():
    module = distance()
    backbone = nn.Linear(1, 1)
    module.start_from(backbone)
    assert torch.equal(module.backbone.weight, backbone.weight) and not module.backbone.weight.requires_grad
    assert not module.train().backbone.training and "backbone.weight" in module.state_dict()
