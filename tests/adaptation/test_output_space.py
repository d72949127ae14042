import math

import pytest
import torch

from mic_det.adaptation import OutputDiscriminator, mean_entropy


def test_entropy_is_normalised():
    torch.manual_seed(0)
    assert mean_entropy(torch.zeros(1, 7, 3, 3)) == pytest.approx(1.0)
    assert mean_entropy(1000 * torch.eye(7).view(1, 7, 7, 1)) == pytest.approx(0.0)
    logits = torch.randn(2, 5, 3, 4)
    p = logits.softmax(1)
    published = -(p * torch.log2(p + 1e-30)).sum() / (2 * 3 * 4 * math.log2(5))
    torch.testing.assert_close(mean_entropy(logits), published)


@pytest.fixture
def discriminator():
    torch.manual_seed(0)
    return OutputDiscriminator(num_classes=3, weight=0.1, width=4)


def test_patches_are_judged_at_a_32nd_of_the_resolution(discriminator):
    assert discriminator.layers(torch.rand(1, 3, 512, 256)).shape == (1, 1, 16, 8)


@pytest.mark.parametrize("loss", ["ls", "vanilla"])
def test_both_sides_get_the_gradients_of_two_separate_steps(loss):
    """The published code freezes the discriminator, then the predictions; here both happen in one pass."""
    torch.manual_seed(0)
    discriminator = OutputDiscriminator(num_classes=3, weight=0.1, loss=loss, width=4)
    source, target = (torch.randn(2, 3, 64, 64, requires_grad=True) for _ in range(2))
    losses = discriminator(source, target)
    sum(losses.values()).backward()
    together = [parameter.grad.clone() for parameter in discriminator.parameters()], target.grad.clone()
    assert source.grad is None
    discriminator.zero_grad()
    target.grad = None

    def criterion(answer, domain):
        if loss == "ls":
            return ((answer - domain) ** 2).mean()
        return -(answer.sigmoid().log() if domain == 1 else (1 - answer.sigmoid()).log()).mean()

    discriminator.requires_grad_(False)
    (0.1 * criterion(discriminator.layers(target.softmax(1)), 0.0)).backward()
    torch.testing.assert_close(together[1], target.grad)
    discriminator.requires_grad_(True)
    for logits, domain in ((source, 0.0), (target, 1.0)):
        (criterion(discriminator.layers(logits.detach().softmax(1)), domain) / 2).backward()
    for found, parameter in zip(together[0], discriminator.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-7)


def test_unknown_losses_are_named():
    with pytest.raises(ValueError, match="must be one of ls, vanilla, got 'hinge'"):
        OutputDiscriminator(3, 1.0, loss="hinge")
