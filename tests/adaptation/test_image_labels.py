import pytest
import torch

from mic_det.adaptation import ImagePseudoLabels
from mic_det.errors import UserError


def test_labels_are_the_best_class_and_weights_its_probability():
    logits = torch.tensor([[0.0, 1.0], [3.0, 3.0 - 4.0]])
    labels, weights = ImagePseudoLabels()(logits)
    assert labels.tolist() == [1, 0]
    torch.testing.assert_close(weights, torch.tensor([1.0, 4.0]).sigmoid())
    assert ImagePseudoLabels("none")(logits)[1].tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match="must be one of teacher_score, none, got 'student_max'"):
        ImagePseudoLabels("student_max")
