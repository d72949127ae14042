"""Sharpness-aware minimisation against closed forms."""

import pytest
import torch

from mic_det.engine.sharpness import SharpnessAware


def quadratic(weights):
    return (weights**2 * torch.tensor([1.0, 4.0])).sum() / 2


def test_the_gradient_is_that_of_the_ascended_point():
    """L = (a x^2 + b y^2) / 2 at (3, 1): g = (3, 4), |g| = 5, so the descent is at (3 + 0.6 rho, 1 + 0.8 rho)."""
    weights = torch.nn.Parameter(torch.tensor([3.0, 1.0]))
    sharpness = SharpnessAware([weights], rho=0.5)
    quadratic(weights).backward()
    with sharpness.ascended():
        torch.testing.assert_close(weights.detach(), torch.tensor([3.3, 1.4]))
        assert weights.grad is None
        quadratic(weights).backward()
    assert weights.tolist() == [3.0, 1.0]
    torch.testing.assert_close(weights.grad, torch.tensor([3.3, 5.6]))


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_gradient_that_is_not_finite_moves_nothing(bad):
    """As when the scale of half precision is too large: the step is skipped, and running statistics must survive it."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    before = network[0].weight.detach().clone()
    sharpness = SharpnessAware(network.parameters(), rho=0.02)
    network(torch.randn(4, 2)).sum().backward()
    network[0].bias.grad[1] = bad
    with sharpness.ascended():
        network(torch.randn(4, 2))
    assert torch.equal(network[0].weight, before) and network[1].running_mean.isfinite().all()


def test_one_norm_spans_all_parameters_and_unused_ones_stay():
    first, second, unused = (torch.nn.Parameter(torch.tensor([value])) for value in (1.0, 2.0, 5.0))
    sharpness = SharpnessAware([first, second, unused], rho=1.0)
    (3 * first + 4 * second).sum().backward()
    with sharpness.ascended():
        assert (first.item(), second.item(), unused.item()) == pytest.approx((1.6, 2.8, 5.0))


def test_weights_come_back_exactly_whatever_happens():
    torch.manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(1000) * 1e3)
    before = weights.detach().clone()
    sharpness = SharpnessAware([weights], rho=0.02)
    (weights.sin()).sum().backward()
    with pytest.raises(FloatingPointError), sharpness.ascended():
        assert not torch.equal(weights, before)
        raise FloatingPointError
    assert torch.equal(weights, before)
    weights.grad = torch.zeros_like(weights)
    with sharpness.ascended():
        assert torch.equal(weights, before)
