import pytest
import torch
import torch.nn.functional as F

from mic_det.adaptation import ConditionalAlignment


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=generator, requires_grad=True), torch.randn(6, 4, generator=generator, requires_grad=True)


def make(**options):
    torch.manual_seed(0)
    return ConditionalAlignment(features=4, num_classes=3, hidden=8, **options)


def test_the_reversal_grows_as_published():
    expected = {0: 0, 500: 0.245, 1000: 0.462, 3000: 0.905, 5000: 0.987, 15000: 1.0}
    assert {step: round(make().reversal_strength(step), 3) for step in expected} == expected
    with pytest.raises(ValueError, match="ramp must be positive"):
        make(ramp=0)
    assert make(ramp=200).reversal_strength(100) == pytest.approx(make().reversal_strength(500))


@pytest.mark.parametrize("entropy_weighting", [False, True])
def test_the_loss_equals_its_definition(inputs, entropy_weighting):
    logits, features = inputs
    alignment = make(entropy_weighting=entropy_weighting, weight=0.5)
    probabilities = logits.softmax(dim=1)
    joint = torch.stack([torch.outer(p, f).flatten() for p, f in zip(probabilities, features, strict=True)])
    answers = alignment.discriminator(joint)[:, 0].sigmoid()
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    # 1 + exp(-H) of every sample (Long et al., section 3.3), normalised over the samples of both domains.
    certain = 1 + torch.exp((probabilities * probabilities.log()).sum(dim=1))
    weights = 6 * certain / certain.sum() if entropy_weighting else torch.ones(6)
    expected = -(weights * (truth * answers.log() + (1 - truth) * (1 - answers).log())).mean()
    loss, right = alignment(logits, features, 2, reversal=1.0)
    assert float(loss) == pytest.approx(0.5 * float(expected), rel=2e-5)
    assert float(right) == pytest.approx(float(((answers > 0.5) == (truth > 0)).float().mean()))


def test_features_get_the_reversed_gradient_and_probabilities_none(inputs):
    logits, features = inputs
    alignment = make()
    joint = (logits.detach().softmax(dim=1)[:, :, None] * features[:, None, :]).flatten(1)
    truth = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    plain = F.binary_cross_entropy_with_logits(alignment.discriminator(joint)[:, 0], truth)
    parameters = list(alignment.parameters())
    expected = torch.autograd.grad(plain, [features, *parameters])
    loss, _ = alignment(logits, features, 3, reversal=0.3)
    found = torch.autograd.grad(loss, [features, logits, *parameters], allow_unused=True)
    torch.testing.assert_close(found[0], -0.3 * expected[0])
    assert found[1] is None
    for own, other in zip(found[2:], expected[1:], strict=True):
        torch.testing.assert_close(own, other)


def test_the_discriminators_size_is_the_published_one():
    with torch.device("meta"):
        visda = ConditionalAlignment(features=256, num_classes=12)
        office = ConditionalAlignment(features=256, num_classes=65)
    assert visda.discriminator[0].in_features == 3072 and office.discriminator[0].in_features == 16640
