import math

import pytest
import torch

from mic_det.adaptation import class_confusion
from mic_det.adaptation.class_confusion import certainty


def brute_force(logits, temperature):
    """Class confusion by loops over samples and classes, in double precision."""
    rows = [[math.exp(value / temperature) for value in row] for row in logits.tolist()]
    rows = [[value / sum(row) for value in row] for row in rows]
    weights = [1 + math.exp(sum(p * math.log(p + 1e-5) for p in row)) for row in rows]
    weights = [len(rows) * weight / sum(weights) for weight in weights]
    classes = range(len(rows[0]))
    confusion = [[sum(w * row[a] * row[b] for w, row in zip(weights, rows, strict=True)) for b in classes] for a in classes]
    confusion = [[value / sum(row) for value in row] for row in confusion]
    return sum(confusion[a][b] for a in classes for b in classes if a != b) / len(classes)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 3.0])
def test_equals_brute_force(temperature):
    logits = 3 * torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    assert float(class_confusion(logits, temperature)) == pytest.approx(brute_force(logits, temperature), rel=1e-5)


def test_certain_predictions_are_not_confused_and_uniform_ones_are_most():
    assert float(class_confusion(100 * torch.eye(4))) == pytest.approx(0, abs=1e-6)
    assert float(class_confusion(torch.zeros(6, 4))) == pytest.approx(0.75)


def test_weights_grow_with_certainty_and_have_no_gradient():
    probabilities = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    weights = certainty(probabilities)
    expected = torch.tensor([2.0, 1.5])
    torch.testing.assert_close(weights, expected / expected.mean(), atol=1e-4, rtol=1e-4)
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).float().requires_grad_()
    (gradient,) = torch.autograd.grad(class_confusion(logits), logits)
    fixed = certainty((logits.detach() / 2).softmax(dim=1))

    def with_fixed_weights(values):
        p = (values.double() / 2).softmax(dim=1)
        confusion = p.T @ (fixed[:, None].double() * p)
        confusion = confusion / confusion.sum(dim=1, keepdim=True)
        return 1 - confusion.diagonal().mean()

    step = 1e-4
    for index in ((0, 0), (3, 2)):
        shift = torch.zeros(5, 3, dtype=torch.float64)
        shift[index] = step
        slope = (with_fixed_weights(logits.detach() + shift) - with_fixed_weights(logits.detach() - shift)) / (2 * step)
        assert float(gradient[index]) == pytest.approx(float(slope), rel=1e-3)
