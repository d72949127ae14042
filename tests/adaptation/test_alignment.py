"""Alignment against the published formulas (gradient factors, level edges, means), each written out as a loop."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes, ImageList
from torchvision.ops import roi_align

from mic_det.adaptation import DomainFeatures, FeatureAlignment
from mic_det.adaptation.domain_classifiers import ImageClassifiers, InstanceClassifiers, ScaleGradient

SCALES = [1 / 4, 1 / 8, 1 / 16, 1 / 32]
# One box per level of the published rule: sides below 112, 112 to 223, 224 to 447, from 448.
SIDES = (111.0, 112.0, 223.0, 224.0, 447.0, 448.0)
LEVELS = (0, 1, 1, 2, 2, 3)


def make_alignment(level_zero_only=False, **options):
    torch.manual_seed(0)
    image, instance = ImageClassifiers(6, 5, hidden=8), InstanceClassifiers(10, 4, hidden=8, level_zero_only=level_zero_only)
    for layer in [*image.modules(), *instance.modules()]:  # the published start is nearly constant: make outputs differ
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=0.5)
    return FeatureAlignment(image, instance, ROIPooler(7, SCALES, 2, "ROIAlign"), **options).eval()  # eval: no dropout


def make_domain(seed, size=(512, 640), unpadded=None, sides=SIDES):
    generator = torch.Generator().manual_seed(seed)
    maps = [
        torch.randn(1, 6, size[0] // stride, size[1] // stride, generator=generator, requires_grad=True)
        for stride in (4, 8, 16, 32, 64)
    ]
    boxes = [Boxes(torch.tensor([[3.0, 5, 3 + side, 5 + side] for side in sides]))]
    instances = torch.randn(len(sides), 10, generator=generator, requires_grad=True)
    return DomainFeatures(ImageList(torch.zeros(1, 3, *size), [unpadded or size]), maps, boxes, instances)


@pytest.mark.parametrize("factor", [-0.025, -0.1, 0.0025, 0.01])
def test_gradient_layer_is_the_identity_with_a_scaled_gradient(factor):
    values = torch.randn(3, 4, requires_grad=True)
    scaled = ScaleGradient.apply(values, factor)
    assert torch.equal(scaled, values)
    upstream = torch.randn(3, 4)
    scaled.backward(upstream)
    torch.testing.assert_close(values.grad, factor * upstream)


def test_only_the_students_gradient_is_scaled():
    """Classifiers see the full gradient of each loss; features see it times -0.025, -0.1 and, for consistency, a tenth."""
    for name, expected in (("image", (-0.025, None)), ("instance", (None, -0.1)), ("consistency", (0.0025, 0.01))):
        gradients = {}
        for scaled in (True, False):
            options = {} if scaled else {"image_gradient": -1.0, "instance_gradient": -1.0}
            alignment = make_alignment(**options)
            if not scaled:  # unscaled: factors of 1 everywhere
                alignment.consistency_gradient = -1.0
            source, target = make_domain(1), make_domain(2)
            loss = getattr(alignment, f"{name}_loss")(source, target)
            (loss if name == "consistency" else loss[0]).backward()
            gradients[scaled] = (
                source.maps[0].grad,
                source.instances.grad,
                {key: p.grad for key, p in alignment.named_parameters() if p.grad is not None},
            )
        for own, plain, factor in zip(gradients[True][:2], gradients[False][:2], expected, strict=True):
            if factor is not None:
                torch.testing.assert_close(own, factor * plain)
            else:
                assert own is None and plain is None
        for key, gradient in gradients[True][2].items():
            torch.testing.assert_close(gradient, gradients[False][2][key])


def test_image_loss_equals_a_loop_over_levels():
    alignment, source, target = make_alignment(), make_domain(1), make_domain(2)
    terms = []
    for domain, label in ((source, 1.0), (target, 0.0)):
        for classifier, level in zip(alignment.image_classifiers.levels, domain.maps, strict=True):
            logits = F.interpolate(classifier(level), (128, 160), mode="bilinear", align_corners=True)
            p = logits.sigmoid()
            terms.append(-(label * p.log() + (1 - label) * (1 - p).log()))
    loss, accuracy = alignment.image_loss(source, target)
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    right = [(term < torch.log(torch.tensor(2.0))).float() for term in terms]
    torch.testing.assert_close(accuracy, torch.stack(right).mean())


def test_padding_is_left_out_and_the_reference_switch_keeps_it():
    source, target = make_domain(1, unpadded=(500, 320)), make_domain(2)
    assert source.valid().sum() == 125 * 80
    noisy = make_domain(1, unpadded=(500, 320))
    with torch.no_grad():
        noisy.maps[0][..., 125:, :] += 5  # rows below the image
    for include, equal in ((False, True), (True, False)):
        alignment = make_alignment(include_padding=include)
        same = torch.isclose(alignment.image_loss(source, target)[0], alignment.image_loss(noisy, target)[0])
        assert bool(same) == equal


def test_every_region_is_classified_by_its_level():
    alignment, source, target = make_alignment(), make_domain(1), make_domain(2)
    terms = []
    for domain, label in ((source, 1.0), (target, 0.0)):
        for features, level in zip(domain.instances, LEVELS, strict=True):
            p = alignment.instance_classifiers.levels[level](features).sigmoid()
            terms.append(-(label * p.log() + (1 - label) * (1 - p).log()))
    loss, _ = alignment.instance_loss(source, target)
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in alignment.instance_classifiers.levels.parameters())


def test_reference_switch_classifies_the_finest_level_only():
    alignment, source, target = make_alignment(level_zero_only=True), make_domain(1), make_domain(2)
    logits = alignment.instance_logits(source, 1.0)
    assert logits[0] != 0 and torch.equal(logits[1:], torch.zeros(5))
    loss, _ = alignment.instance_loss(source, target)
    loss.backward()
    assert source.instances.grad[0].abs().sum() > 0 and source.instances.grad[1:].abs().sum() == 0
    assert all(p.grad is None for level in alignment.instance_classifiers.levels[1:] for p in level.parameters())


def test_consistency_equals_a_loop_over_regions():
    alignment, source, target = make_alignment(), make_domain(1), make_domain(2)
    terms = []
    for domain in (source, target):
        for box, features, level in zip(domain.boxes[0].tensor, domain.instances, LEVELS, strict=True):
            own = alignment.instance_classifiers.levels[level](features).sigmoid()
            image = alignment.image_classifiers.levels[level](domain.maps[level]).sigmoid()
            below = roi_align(image, [box[None]], 7, SCALES[level], sampling_ratio=2, aligned=False).mean()
            terms.append((below - own).abs())
    torch.testing.assert_close(alignment.consistency_loss(source, target), torch.stack(terms).mean())


def test_weights_scale_and_zero_turns_off():
    source, target = make_domain(1), make_domain(2)
    full, diagnostics = make_alignment()(source, target)
    assert set(diagnostics) == {"align_image_accuracy", "align_instance_accuracy"}
    weighted, _ = make_alignment(weights=(2.0, 0.5, 0.0))(source, target)
    assert set(weighted) == {"loss_align_image", "loss_align_instance"}
    torch.testing.assert_close(weighted["loss_align_image"], 2 * full["loss_align_image"])
    torch.testing.assert_close(weighted["loss_align_instance"], 0.5 * full["loss_align_instance"])


def test_accuracy_of_a_classifier_that_knows():
    alignment, source, target = make_alignment(), make_domain(1), make_domain(2)
    for layer in alignment.instance_classifiers.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    for classifier in alignment.instance_classifiers.levels:
        torch.nn.init.ones_(classifier[-1].bias)  # always says source
    assert alignment.instance_loss(source, target)[1] == 0.5
    few = make_domain(2, sides=SIDES[:2])
    assert alignment.instance_loss(source, few)[1] == pytest.approx(6 / 8)


def test_published_size_of_the_image_classifiers():
    count = sum(p.numel() for p in ImageClassifiers(256, 5).parameters())
    assert count == 5 * (256 * 512 + 512 + 512 + 1)  # 0.66 million


def test_a_domain_without_regions():
    alignment = make_alignment()
    empty = make_domain(2)
    empty.boxes, empty.instances = [Boxes(torch.zeros(0, 4))], torch.zeros(0, 10)
    losses, _ = alignment(make_domain(1), empty)
    assert all(torch.isfinite(loss) for loss in losses.values())
