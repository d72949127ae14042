"""The adapting classifier: its losses, passes, published oddities and public weights."""

import copy

import pytest
import torch
import torch.nn.functional as F
import torchvision
from detectron2.modeling import build_model

import mic_det
from mic_det.adaptation import AdaptationBatch, class_confusion
from mic_det.checkpoint.weights import load_weights
from mic_det.errors import UserError

PUBLISHED = ("MODEL.MIC.TEACHER.BATCH_STATISTICS", True, "MODEL.MIC.REFERENCE.WEIGHT_IN_ASCENT_ONLY", True)
PLAIN = ("MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.AUGMENT.JITTER", 0.0)


def samples(count, labelled, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return [{"image": image, **({"label": index % 8} if labelled else {})} for index, image in enumerate(images)]


@pytest.fixture
def batch():
    return AdaptationBatch(samples(6, True, 0), samples(4, False, 1))


def build(cfg):
    torch.manual_seed(0)
    return build_model(cfg).train()


def test_losses_equal_their_definitions(tiny_cls_cfg, batch):
    model = build(tiny_cls_cfg(*PLAIN, "MODEL.MIC.MCC.TEMPERATURE", 3.0, "MODEL.MIC.LOSS_WEIGHT", 0.5))
    model.update_teacher(1000)
    reference = copy.deepcopy(model)
    with torch.no_grad():
        pseudo = reference.teacher.model.eval().predict(reference.student.preprocess_image(batch.target)).softmax(dim=1)
    images = reference.student.preprocess_image([*batch.source, *batch.target])
    both = reference.student.train().observe(images)  # one batch: its statistics are those of both domains
    masked = reference.student.observe(images[6:])
    weights, labels = pseudo.max(dim=1)
    expected = {
        "loss_cls": F.cross_entropy(both.logits[:6], torch.arange(6)),
        "loss_mcc": class_confusion(both.logits[6:], 3.0),
        "loss_cdan": reference.alignment.train()(both.logits, both.features, 6, 1.0)[0],
        "loss_cls_mask": 0.5 * (weights * F.cross_entropy(masked.logits, labels, reduction="none")).mean(),
    }
    found = model(batch)
    assert {name: float(loss) for name, loss in found.items()} == pytest.approx(
        {name: float(loss) for name, loss in expected.items()}, rel=1e-4
    )
    assert set(model.diagnostics) == {"pseudo_score", "pseudo_largest_share", "masked_fraction", "domain_accuracy"}
    assert float(model.diagnostics["pseudo_score"]) == pytest.approx(float(weights.mean()), rel=1e-4)


def test_ascent_and_descent_share_masks_and_labels_but_not_the_adversary(tiny_cls_cfg, batch):
    model = build(tiny_cls_cfg())
    (part,) = model.parts(batch)
    ascent = model.ascent(part)
    assert ascent.view is part.view and ascent.pseudo_labels is part.pseudo_labels and not part.ascends
    descent = model(part)
    assert set(model(ascent)) == set(descent) - {"loss_cdan"}


@pytest.mark.parametrize(("switch", "equal"), [((), True), (("MODEL.MIC.REFERENCE.WEIGHT_IN_ASCENT_ONLY", True), False)])
def test_the_published_descent_forgets_the_weights(tiny_cls_cfg, batch, switch, equal):
    model = build(tiny_cls_cfg(*switch))
    (part,) = model.parts(batch)
    model.eval()
    ascent, descent = model.masked_losses(model.ascent(part)), model.masked_losses(part)
    full = F.cross_entropy(model.student.predict(part.view), part.pseudo_labels)
    assert (float(ascent["loss_cls_mask"]) == pytest.approx(float(descent["loss_cls_mask"]))) == equal
    assert (float(descent["loss_cls_mask"]) == pytest.approx(float(full))) == (not equal)


def test_the_published_teacher_normalises_with_its_own_batch(tiny_cls_cfg, batch):
    model, published = build(tiny_cls_cfg()), build(tiny_cls_cfg(*PUBLISHED))
    images = model.student.preprocess_image(batch.target)
    for network in (model, published):
        for module in network.student.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.fill_(1.0)
        network.update_teacher(5)
    assert not torch.allclose(model.teacher_logits(images), published.teacher_logits(images))
    trained = copy.deepcopy(published.student).train()
    torch.testing.assert_close(published.teacher_logits(images), trained.predict(images))
    assert (model.teacher.model.bottleneck[1].running_mean == 1).all()
    assert not (published.teacher.model.bottleneck[1].running_mean == 1).any()


def test_before_adaptation_only_the_source_is_learned(tiny_cls_cfg, batch):
    model = build(tiny_cls_cfg("MODEL.MIC.BURN_IN", 10, "MODEL.MIC.CDAN.RAMP_ITERS", 1000))
    assert set(model(AdaptationBatch(batch.source))) == {"loss_cls"}
    reversal = {}
    for iteration in (5, 10, 1010):
        model.update_teacher(iteration)
        reversal[iteration] = model.reversal
    assert reversal == pytest.approx({5: 0.0, 10: 0.0, 1010: 0.462}, abs=1e-3)


def test_what_is_off_is_not_there(tiny_cls_cfg, batch):
    model = build(tiny_cls_cfg("MODEL.MIC.CDAN.WEIGHT", 0.0, "MODEL.MIC.MCC.WEIGHT", 0.0, "MODEL.MIC.LOSS_WEIGHT", 0.0))
    assert set(model(batch)) == {"loss_cls"} and model.alignment is None and not model.uses_pseudo_labels
    assert {name.split(".")[0] for name in model.state_dict()} == {"student", "teacher"}


def test_evaluation_gives_the_chosen_networks_probabilities(tiny_cls_cfg, batch):
    model = build(tiny_cls_cfg("MODEL.MIC.INFERENCE", "teacher"))
    for parameter in model.student.parameters():
        parameter.data.mul_(1.1)
    model.eval()
    found = model(batch.target)
    expected = model.teacher.model.predict(model.student.preprocess_image(batch.target)).softmax(dim=1)
    torch.testing.assert_close(torch.stack([output["scores"] for output in found]), expected)
    assert float(found[0]["scores"].sum()) == pytest.approx(1)
    student = model.network("student")(batch.target)
    assert not torch.allclose(student[0]["scores"], found[0]["scores"])


def test_networks_have_the_published_sizes():
    """The bottleneck has 256 numbers, and a ViT's vector is its class token."""
    for name, channels in (("visda_cls_mic", 768), ("visda_cls_r101_mic", 2048)):
        cfg = mic_det.load_config(name, ["MODEL.TIMM.PRETRAINED_FILE", "", "MODEL.DEVICE", "meta"])
        with torch.device("meta"):
            from detectron2.modeling import META_ARCH_REGISTRY

            student = META_ARCH_REGISTRY.get("ImageClassifier")(cfg)
        assert student.bottleneck[0].in_features == channels and student.classifier.weight.shape == (12, 256)


def test_a_vits_vector_is_its_class_token():
    timm = pytest.importorskip("timm")
    cfg = mic_det.load_config("visda_cls_mic", ["MODEL.DEVICE", "cpu"])
    cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.PRETRAINED_FILE = "vit_tiny_patch16_224", ""
    torch.manual_seed(0)
    student = build_model(cfg).student.eval()
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        tokens = student.backbone.network.forward_features(images)
        assert tokens.shape == (2, 197, 192)
        torch.testing.assert_close(student.backbone(images)["pooled"], tokens[:, 0])
    assert timm.is_model("vit_base_patch16_224.augreg_in21k_ft_in1k")


def test_torchvisions_file_fills_the_encoder(tiny_cls_cfg, tmp_path, batch):
    torch.manual_seed(7)
    public = torchvision.models.resnet18()
    torch.save(public.state_dict(), tmp_path / "resnet18.pth")
    model = build(tiny_cls_cfg())
    load_weights(model, str(tmp_path / "resnet18.pth"))
    images = model.student.preprocess_image(batch.target)
    public.fc = torch.nn.Identity()
    for network in (model.student, model.teacher.model):
        torch.testing.assert_close(network.eval().backbone(images)["pooled"], public.eval()(images))
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(UserError, match=r"resnet34\.pth does not fit the backbone .*MODEL\.RESNETS\.DEPTH"):
        load_weights(model, str(tmp_path / "resnet34.pth"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.MIC.STUDENT", "EncoderDecoder"), "EncoderDecoder is no ImageClassifier"),
        (("MODEL.MIC.PSEUDO_LABELS.WEIGHT", "student_max"), "must be one of teacher_score, none"),
        (("MODEL.RESNETS.DEPTH", 19), "torchvision has no resnet19; it has 101, 152, 18"),
        (
            ("MODEL.BACKBONE.NAME", "build_timm_pooled_backbone", "MODEL.TIMM.PRETRAINED_FILE", "none.bin"),
            "none.bin does not exist",
        ),
    ],
)
def test_wrong_values_are_one_sentence(tiny_cls_cfg, overrides, message):
    with pytest.raises(UserError, match=message):
        build_model(tiny_cls_cfg(*overrides))
