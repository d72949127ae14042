"""The adapting segmentation meta-architecture: its passes, modes, gradients and switches."""

import copy

import pytest
import torch
from detectron2.modeling import build_model

from mic_det.adaptation import AdaptationBatch
from mic_det.errors import UserError


def samples(count, labelled, seed, size=(64, 128)):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        sample = {"image": torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)}
        if labelled:
            labels = torch.randint(0, 4, (4, 8), generator=generator)
            sample["sem_seg"] = labels.repeat_interleave(16, 0).repeat_interleave(16, 1).byte()
        found.append(sample)
    return found


@pytest.fixture
def batch():
    return AdaptationBatch(samples(2, True, 0), samples(2, False, 1))


def build(cfg):
    torch.manual_seed(0)
    return build_model(cfg).train()


def plan(model, batch):
    """{name: Pass} of a step."""
    return {one.name: one for one in model.plan(batch)}


def gradients(model, parts):
    model.zero_grad()
    losses = {}
    for part in parts:
        found = model(part)
        sum(found.values()).backward()
        losses |= {name: float(loss) for name, loss in found.items()}
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}, losses


HRDA = ("MODEL.MIC.STUDENT", "HRDA", "MODEL.HRDA.DETAIL_CROP", (32, 64))


@pytest.mark.parametrize("student", [(), HRDA])
@pytest.mark.parametrize(
    "method",
    [(), ("MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 0.5), ("MODEL.MIC.ADVERSARIAL.WEIGHT", 0.1, "MODEL.MIC.ENTROPY.WEIGHT", 0.1)],
)
def test_sequential_and_summed_backward_give_equal_gradients(tiny_seg_cfg, batch, student, method):
    model = build(tiny_seg_cfg(*student, *method))
    for parameter in model.student.backbone.parameters():  # away from the ImageNet copy
        parameter.data.mul_(1.1)
    torch.manual_seed(5)
    summed, losses = gradients(model, model.parts(batch))
    assert len(model.parts(batch)) == 1
    model.sequential = True
    torch.manual_seed(5)
    parts = model.parts(batch)
    sequential, same = gradients(model, parts)
    assert len(parts) == 3 and losses == pytest.approx(same) and set(summed) == set(sequential)
    for name, gradient in summed.items():
        torch.testing.assert_close(sequential[name], gradient, rtol=1e-3, atol=1e-5)


def test_names_of_all_losses(tiny_seg_cfg, batch):
    every = ("MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 0.5, "MODEL.MIC.ADVERSARIAL.WEIGHT", 0.1, "MODEL.MIC.ENTROPY.WEIGHT", 0.1)
    model = build(tiny_seg_cfg(*HRDA, *every))
    assert set(model(batch)) == {
        *("loss_seg", "loss_seg_detail", "loss_seg_mix", "loss_seg_detail_mix", "loss_seg_mask", "loss_seg_detail_mask"),
        *("loss_feature_distance", "loss_adversarial", "loss_discriminator", "loss_entropy"),
    }
    assert set(model.diagnostics) == {"pseudo_quality", "pseudo_weight", "pseudo_largest_share", "masked_fraction"}
    names = {name.split(".")[0] for name in model.state_dict()}
    assert names == {"student", "teacher", "feature_distance", "discriminator"}


@pytest.mark.parametrize("mic", [True, False])
@pytest.mark.parametrize("method", ["ADVERSARIAL", "ENTROPY"])
def test_output_adaptation_works_with_and_without_masks(tiny_seg_cfg, batch, method, mic):
    off = () if mic else ("MODEL.MIC.LOSS_WEIGHT", 0.0)
    model = build(tiny_seg_cfg("MODEL.MIC.MIX.ENABLED", False, f"MODEL.MIC.{method}.WEIGHT", 0.1, *off))
    losses = model(batch)
    assert ("loss_seg_mask" in losses) == mic and "loss_seg_mix" not in losses
    assert ("loss_adversarial" in losses) == (method == "ADVERSARIAL") and ("loss_entropy" in losses) == (method == "ENTROPY")
    found = gradients(model, [batch])[0]
    assert any(name.startswith("discriminator") for name in found) == (method == "ADVERSARIAL")


def test_the_plan_names_its_passes_in_order(tiny_seg_cfg, batch):
    """LC-MSM's masks, after which the output adaptation comes with the source, as its discriminator's gradients are the last."""
    lcmsm = (
        "MODEL.LANGUAGE_HEAD.ENABLED",
        True,
        "MODEL.LANGUAGE_HEAD.TEXT_BANK",
        "random",
        "MODEL.MIC.MASK.IMAGES",
        "source_and_mixed",
    )
    model = build(tiny_seg_cfg(*lcmsm))
    passes = model.plan(batch)
    assert [one.name for one in passes] == ["source", "masked source", "mixed", "masked"]
    assert [one.decoder is model.student.language_head for one in passes] == [one.is_masked for one in passes]
    model = build(tiny_seg_cfg(*lcmsm, "MODEL.MIC.ENTROPY.WEIGHT", 0.1))
    passes = model.plan(batch)
    assert [one.name for one in passes] == ["masked source", "mixed", "masked", "source"]
    assert torch.equal(passes[-1].target, model.student.preprocess_image(batch.target).tensor)
    assert [one.name for one in model.plan(AdaptationBatch(batch.source))] == ["source", "masked source"]


def test_before_adaptation_only_the_source_is_learned(tiny_seg_cfg, batch):
    model = build(tiny_seg_cfg())
    assert set(model(AdaptationBatch(batch.source))) == {"loss_seg"}
    supervised = build(tiny_seg_cfg("MODEL.MIC.MASK.IMAGES", "source"))  # supervised MIC (table 9)
    assert set(supervised(AdaptationBatch(batch.source))) == {"loss_seg", "loss_seg_mask"}


@pytest.mark.parametrize(("mode", "count", "weighted"), [("target", 2, 2), ("source", 2, 0), ("both", 4, 2), ("halves", 2, 1)])
def test_masked_images_of_every_mode(tiny_seg_cfg, batch, mode, count, weighted):
    model = build(tiny_seg_cfg("MODEL.MIC.MASK.IMAGES", mode, "MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.MASK.AUGMENT", False))
    seen = plan(model, batch)["masked source" if mode == "source" else "masked"]
    source, target = (model.student.preprocess_image(part).tensor for part in (batch.source, batch.target))
    expected = {
        "target": target,
        "source": source,
        "both": torch.cat([source, target]),
        "halves": torch.cat([source[:1], target[:1]]),
    }[mode]
    assert len(seen.labels) == count
    torch.testing.assert_close(seen.images, expected)
    truth = model.student.labels(batch.source)
    if mode == "source":
        assert seen.weights is None and torch.equal(seen.labels, truth)
    else:
        own = count - weighted
        assert (seen.weights[:own] == 1).all() and (seen.weights[own:] < 1).all()
        assert torch.equal(seen.labels[:own], truth[:own])


def test_masked_mixed_images_are_the_mix_itself(tiny_seg_cfg, batch):
    off = ("MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.MASK.AUGMENT", False, "MODEL.MIC.AUGMENT.JITTER", 0.0)
    model = build(tiny_seg_cfg("MODEL.MIC.MASK.IMAGES", "mixed", "MODEL.MIC.AUGMENT.BLUR_PROB", 0.0, *off))
    losses = model(batch)
    assert float(losses["loss_seg_mask"]) == pytest.approx(float(losses["loss_seg_mix"]), rel=1e-5)
    assert set(model(AdaptationBatch(batch.source))) == {"loss_seg"}


@pytest.mark.parametrize("published", [False, True])
def test_the_published_masked_mix_is_augmented_twice(tiny_seg_cfg, batch, published):
    """Both augmentations add 1: the masked view then has 1 on the mix, or 2 where it starts from the augmented one."""
    switch = ("MODEL.MIC.REFERENCE.MASK_AUGMENTED_MIX", published)
    model = build(tiny_seg_cfg("MODEL.MIC.MASK.IMAGES", "source_and_mixed", "MODEL.MIC.MASK.RATIO", 0.0, *switch))
    model.augment = model.consistency.augment = lambda images: images + 1
    model.mixing = lambda source, target: target
    seen = plan(model, batch)
    source, target = (model.student.preprocess_image(part).tensor for part in (batch.source, batch.target))
    torch.testing.assert_close(seen["mixed"].images, target + 1)
    torch.testing.assert_close(seen["masked"].images, target + (2 if published else 1))
    torch.testing.assert_close(seen["masked source"].images, source + 1)


@pytest.mark.parametrize("mode", ["both", "halves"])
def test_both_domains_are_masked_whatever_their_numbers(tiny_seg_cfg, mode):
    """Without ClassMix nothing is paired, and 3 source and 2 target images can be masked together."""
    model = build(tiny_seg_cfg("MODEL.MIC.MASK.IMAGES", mode, "MODEL.MIC.MIX.ENABLED", False, "MODEL.MIC.MASK.RATIO", 0.0))
    unequal = AdaptationBatch(samples(3, True, 0), samples(2, False, 1))
    seen = plan(model, unequal)["masked"]
    own = {"both": 3, "halves": 2}[mode]
    assert len(seen.labels) == {"both": 5, "halves": 3}[mode] and (seen.weights[:own] == 1).all()
    assert torch.equal(seen.labels[:own], model.student.labels(unequal.source)[:own])


def test_masks_can_have_their_own_teacher_and_threshold(tiny_seg_cfg, batch):
    """No EMA (alpha 0: the student itself) and no confidence weight, the ablations of table 7."""
    model = build(tiny_seg_cfg("MODEL.MIC.MASK.TEACHER_ALPHA", 0.0, "MODEL.MIC.MASK.THRESHOLD", 0.0))
    for parameter in model.student.parameters():
        parameter.data.add_(0.01)
    model.update_teacher(5)
    own, student = model.mask_teacher.model.state_dict(), model.student.state_dict()
    assert all(torch.equal(own[name], student[name]) for name in own)
    assert not torch.equal(next(model.teacher.model.parameters()), next(model.student.parameters()))
    seen = plan(model, batch)["masked"]
    model.student.eval()
    images = model.student.preprocess_image(batch.target).tensor
    assert torch.equal(seen.labels, model.student.predict(images).argmax(1)) and (seen.weights == 1).all()


def test_margins_reach_mixed_and_masked_weights(tiny_seg_cfg, batch):
    for sample in batch.target:
        sample["valid"] = torch.zeros(64, 128, dtype=torch.bool)
    model = build(tiny_seg_cfg())
    assert float(model(batch)["loss_seg_mask"]) == 0 and model.diagnostics["pseudo_weight"] == 0


def test_the_quality_that_is_logged_knows_no_margins(tiny_seg_cfg, batch):
    model = build(tiny_seg_cfg())
    model(batch)
    quality = float(model.diagnostics["pseudo_quality"])
    confidence = model.teacher_logits(model.teacher, model.student.preprocess_image(batch.target).tensor).softmax(1).amax(1)
    assert quality == pytest.approx(float((confidence >= model.pseudo_labels.threshold).float().mean())) and quality > 0
    assert float(model.diagnostics["pseudo_weight"]) == pytest.approx(quality)
    for sample in batch.target:
        sample["valid"] = torch.zeros(64, 128, dtype=torch.bool)
        sample["valid"][:, :32] = True
    model(batch)
    assert float(model.diagnostics["pseudo_quality"]) == pytest.approx(quality)
    assert float(model.diagnostics["pseudo_weight"]) == pytest.approx(quality / 4)


def test_the_published_loss_weight_leaves_out_the_details(tiny_seg_cfg, batch):
    sane = build(tiny_seg_cfg(*HRDA, "MODEL.MIC.LOSS_WEIGHT", 0.5))
    masked = plan(sane, batch)["masked"]
    published = copy.deepcopy(sane)
    published.detail_unweighted = True
    results = []
    for model in (sane, published):
        torch.manual_seed(0)
        results.append(model.losses_of(masked))
    assert float(results[0]["loss_seg_mask"]) == pytest.approx(float(results[1]["loss_seg_mask"]))
    assert 2 * float(results[0]["loss_seg_detail_mask"]) == pytest.approx(float(results[1]["loss_seg_detail_mask"]))


def test_the_feature_distance_starts_at_zero_and_grows(tiny_seg_cfg, batch):
    model = build(tiny_seg_cfg("MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 1.0, "MODEL.MIC.FEATURE_DISTANCE.CLASSES", ()))
    model.start_from_student()
    assert float(model(batch)["loss_feature_distance"]) == pytest.approx(0, abs=1e-5)
    for parameter in model.student.backbone.parameters():
        parameter.data.mul_(1.2)
    assert float(model(batch)["loss_feature_distance"]) > 0.1


def test_the_teacher_has_no_gradient_and_evaluation_takes_the_configured_network(tiny_seg_cfg, batch):
    model = build(tiny_seg_cfg())
    found = gradients(model, [batch])[0]
    assert all(name.startswith("student.") for name in found)
    for parameter in model.teacher.model.parameters():
        parameter.data.mul_(0.9)
    model.eval()
    with torch.no_grad():
        inputs = [{"image": batch.target[0]["image"]}]
        both = {name: model.network(name)(inputs)[0]["sem_seg"] for name in ("teacher", "student")}
        assert torch.equal(model(inputs)[0]["sem_seg"], both["student"]) and not torch.equal(both["teacher"], both["student"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.MIC.MASK.IMAGES", "all"), "MASK.IMAGES must be one of target, source, both, halves"),
        (("MODEL.MIC.MASK.IMAGES", "mixed", "MODEL.MIC.MIX.ENABLED", False), "set MODEL.MIC.MIX.ENABLED True"),
        (("MODEL.MIC.MASK.IMAGES", "mixed", "MODEL.MIC.MASK.THRESHOLD", 0.5), "MODEL.MIC.MASK.THRESHOLD to -1"),
        (("MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 2.0), "threshold must lie in"),
        (("MODEL.MIC.ADVERSARIAL.WEIGHT", 1.0, "MODEL.MIC.ADVERSARIAL.LOSS", "x"), "ADVERSARIAL.LOSS must be one of"),
        (("MODEL.MIC.STUDENT", "GeneralizedRCNN"), "GeneralizedRCNN is no EncoderDecoder"),
        (("MODEL.MIC.STUDENT", "EncoderDecodr"), "Did you mean 'EncoderDecoder'"),
        (("MODEL.SEM_SEG_HEAD.NAME", "NoHead"), "MODEL.SEM_SEG_HEAD.NAME names 'NoHead', which is not registered"),
        (("MODEL.SEM_SEG_HEAD.FUSION", "no"), "FUSION must be one of"),
        (("MODEL.SEM_SEG_HEAD.IN_FEATURES", ["res9"]), "'res9', but the backbone gives"),
        ((*HRDA[:2], "MODEL.HRDA.DETAIL_CROP", (30, 30)), "DETAIL_CROP .30, 30. must be a multiple of 8"),
        ((*HRDA, "MODEL.HRDA.OUTPUT", "both"), "OUTPUT must be one of"),
    ],
)
def test_wrong_values_are_one_sentence(tiny_seg_cfg, overrides, message):
    with pytest.raises(UserError, match=message):
        build_model(tiny_seg_cfg(*overrides))
