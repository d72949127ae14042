import pytest
import torch
from detectron2.structures import Boxes, Instances
from hypothesis import given, settings
from hypothesis import strategies as st

from mic_det.adaptation import BoxPseudoLabels


def prediction(scores, classes=None, boxes=None):
    count = len(scores)
    result = Instances((100, 200))
    result.pred_boxes = Boxes(
        torch.tensor(boxes or [[i, i, i + 10, i + 20] for i in range(count)], dtype=torch.float32).reshape(-1, 4)
    )
    result.scores = torch.tensor(scores, dtype=torch.float32)
    result.pred_classes = torch.tensor(classes or [0] * count, dtype=torch.long)
    return result


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), max_size=20), st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_every_box_is_a_label_uncertain_or_background(scores, low, high):
    low, high = sorted((low, high))
    label = BoxPseudoLabels(high, low)([prediction(scores)])[0]
    assert sorted(label.instances.gt_scores.tolist()) == sorted(s for s in scores if s >= high)
    assert len(label.uncertain) == sum(low <= s < high for s in scores)


def test_threshold_is_inclusive_and_boxes_are_untouched():
    predicted = prediction([0.8, 0.79999, 0.9], [2, 1, 0])
    label = BoxPseudoLabels(0.8)([predicted])[0]
    assert label.instances.gt_classes.tolist() == [2, 0]
    assert torch.equal(label.instances.gt_boxes.tensor, predicted.pred_boxes.tensor[[0, 2]])
    assert label.instances.image_size == (100, 200)


def test_one_threshold_per_class():
    label = BoxPseudoLabels([0.9, 0.3])([prediction([0.8, 0.8, 0.2], [0, 1, 1])])[0]
    assert label.instances.gt_classes.tolist() == [1]


def test_empty_boxes_and_empty_images():
    label = BoxPseudoLabels(0.5, 0.1)([prediction([0.9, 0.3], boxes=[[5, 5, 5, 9], [5, 5, 3, 9]])])[0]
    assert len(label.instances) == 0 and len(label.uncertain) == 0
    assert len(BoxPseudoLabels(0.5)([prediction([])])[0].instances) == 0


def test_labels_from_inference_mode_can_be_used_in_training():
    with torch.inference_mode():
        predicted = prediction([0.9])
    label = BoxPseudoLabels(0.5)([predicted])[0]
    weight = torch.ones(1, requires_grad=True)
    (weight * label.instances.gt_scores).sum().backward()  # an inference tensor may not be saved for backward
    assert weight.grad.item() == pytest.approx(0.9)


@pytest.mark.parametrize("threshold", [1.2, [-0.1, 0.5]])
def test_impossible_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match="thresholds"):
        BoxPseudoLabels(threshold)
