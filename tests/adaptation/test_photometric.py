import cv2
import numpy as np
import pytest
import torch

from mic_det.adaptation import PhotometricAugmentation
from mic_det.adaptation.photometric import gaussian_blur, jitter

MEAN, STD = [103.53, 116.28, 123.675], [57.4, 57.1, 58.4]


def make(jitter_strength=0.0, jitter_prob=1.0, blur_prob=0.0, sigma=(0.5, 0.5), is_bgr=True, **options):
    return PhotometricAugmentation(jitter_strength, jitter_prob, blur_prob, sigma, MEAN, STD, is_bgr, **options)


def test_blur_equals_opencv():
    image = np.random.default_rng(0).random((40, 50, 3), dtype=np.float32)
    for sigma in (0.3, 0.7, 1.15):
        expected = cv2.GaussianBlur(image, (9, 9), sigma, borderType=cv2.BORDER_REFLECT_101)
        found = gaussian_blur(torch.from_numpy(image).permute(2, 0, 1)[None], torch.tensor([sigma]))[0]
        np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), expected, atol=2e-6)


def test_blur_uses_each_images_own_sigma():
    images = torch.rand(2, 3, 20, 20)
    together = gaussian_blur(images, torch.tensor([0.4, 1.1]))
    torch.testing.assert_close(together[0], gaussian_blur(images[:1], torch.tensor([0.4]))[0])
    torch.testing.assert_close(together[1], gaussian_blur(images[1:], torch.tensor([1.1]))[0])


def test_normalisation_round_trip_and_channel_order():
    images = torch.rand(1, 3, 4, 4)
    augment = make()
    torch.testing.assert_close(augment.denormalise(augment.normalise(images)), images)
    # pure blue in RGB: the first channel of a BGR network's input
    blue = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    raw = augment.normalise(blue).flatten() * torch.tensor(STD) + torch.tensor(MEAN)
    torch.testing.assert_close(raw, torch.tensor([255.0, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_jitter_keeps_content():
    """The published jitter clamped 0..255 images to [0, 1] and left a constant picture; ours must not."""
    torch.manual_seed(0)
    images = torch.rand(8, 3, 32, 32)
    changed = jitter(images, 0.2)
    assert changed.min() >= 0 and changed.max() <= 1
    assert (changed - images).abs().mean() > 0.01
    for before, after in zip(images, changed, strict=True):
        assert np.corrcoef(before.mean(0).flatten(), after.mean(0).flatten())[0, 1] > 0.75 and after.std() > 0.2


def test_decisions_are_per_image_and_per_call():
    torch.manual_seed(0)
    images = make().normalise(torch.rand(1, 3, 16, 16)).repeat(64, 1, 1, 1)
    augment = make(jitter_strength=0.2, jitter_prob=0.5)
    changed = (augment(images) != images).flatten(1).any(1)
    assert 15 < changed.sum() < 50
    assert not torch.equal(changed, (augment(images) != images).flatten(1).any(1))


@pytest.mark.parametrize("chances", [(0.8, 0.0), (0.0, 0.5)])
def test_the_published_decision_is_one_for_the_batch(chances):
    """All images change or none, as often as the probability says, and each by an amount of its own."""
    torch.manual_seed(0)
    strength = 0.2 if chances[0] else 0.0
    augment = make(strength, *chances, sigma=(0.3, 1.2), per_batch=True)
    images = augment.normalise(torch.rand(1, 3, 8, 8)).repeat(4, 1, 1, 1)
    decisions = []
    for _ in range(200):
        found = augment(images)
        changed = (found != images).flatten(1).any(1)
        assert changed.all() or not changed.any()
        decisions.append(bool(changed[0]))
        assert not changed.any() or not torch.equal(found[0], found[1])
    assert sum(decisions) / 200 == pytest.approx(max(chances), abs=0.08)


def test_unchanged_images_are_returned_exactly_and_input_is_not_modified():
    images = torch.randn(2, 3, 16, 16)
    before = images.clone()
    assert torch.equal(make()(images), images)
    make(jitter_strength=0.3, blur_prob=1.0)(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 3)])
def test_tiny_images_can_be_blurred(size):
    assert gaussian_blur(torch.rand(1, 3, *size), torch.tensor([1.0])).shape == (1, 3, *size)


def test_kornias_operations_have_their_own_meaning(monkeypatch):
    """Additive brightness, contrast about 0, HSV saturation and up to +-strength of the colour circle, in a drawn order."""
    from colorsys import hsv_to_rgb, rgb_to_hsv

    from mic_det.adaptation.photometric import kornia_jitter, scale_saturation

    pixel = (0.6, 0.3, 0.2)
    image = torch.tensor(pixel).view(1, 3, 1, 1)
    hue, saturation, value = rgb_to_hsv(*pixel)
    for factor in (0.5, 1.2, 3.0):
        expected = torch.tensor(hsv_to_rgb(hue, min(saturation * factor, 1), value)).view(1, 3, 1, 1)
        torch.testing.assert_close(scale_saturation(image, factor), expected)

    def only(kind, amount):
        factors = torch.zeros(4, 1)
        factors[kind] = amount
        monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, low, high: self.copy_(factors))
        return kornia_jitter(image, 0.2).flatten().tolist()

    assert only(0, 0.2) == pytest.approx([0.8, 0.5, 0.4])
    assert only(1, 0.2) == pytest.approx([0.72, 0.36, 0.24])
    assert only(3, 0.2) == pytest.approx(hsv_to_rgb((hue + 0.2) % 1, saturation, value), abs=1e-5)
