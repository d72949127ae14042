"""LC-MSM: scores, spatial block, the two decoders and what flows between them (the traps of its published code)."""

import copy

import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling import META_ARCH_REGISTRY, build_model

import mic_det
from mic_det.adaptation import AdaptationBatch
from mic_det.checkpoint.weights import load_weights
from mic_det.errors import UserError
from mic_det.modeling.decode_head.base import DecodeHead
from mic_det.modeling.decode_head.language import LanguageHead, SpatialBlock, TextEmbeddings, cosine_scores
from mic_det.tasks import task_of
from tests.modeling.test_segmentor import HRDA, gradients, samples

LCMSM = (
    "MODEL.LANGUAGE_HEAD.ENABLED",
    True,
    "MODEL.LANGUAGE_HEAD.TEXT_BANK",
    "random",
    "MODEL.MIC.MASK.IMAGES",
    "source_and_mixed",
)
LOSSES = {"loss_seg", "loss_seg_source_mask", "loss_seg_mix", "loss_seg_mask"}


@pytest.fixture
def batch():
    return AdaptationBatch(samples(2, True, 0), samples(2, False, 1))


@pytest.fixture
def model(tiny_seg_cfg):
    torch.manual_seed(0)
    return build_model(tiny_seg_cfg(*LCMSM)).train()


def test_scores_are_cosines_over_the_temperature():
    features = torch.tensor([[3.0, 0.0], [4.0, -2.0]]).view(1, 2, 1, 2)  # (3, 4) and (0, -2)
    text = torch.tensor([[1.0, 0.0], [0.0, 5.0], [-6.0, -8.0]])
    expected = torch.tensor([[0.6, 0.0], [0.8, -1.0], [-1.0, 0.8]]).view(1, 3, 1, 2) / 0.07
    torch.testing.assert_close(cosine_scores(features, text, 0.07), expected)
    found = cosine_scores(torch.randn(2, 16, 4, 4), torch.randn(5, 16), 0.07)
    assert found.abs().max() <= 1 / 0.07


def test_the_spatial_block_equals_a_loop_and_shares_its_filter():
    torch.manual_seed(0)
    block = SpatialBlock()
    assert sum(parameter.numel() for parameter in block.parameters()) == 10
    scores = torch.randn(2, 4, 5, 6)
    expected = scores
    for step in range(2):
        before, after = F.pad(expected, (1, 1, 1, 1)), torch.empty_like(expected)
        for n, k, y, x in torch.cartesian_prod(*map(torch.arange, scores.shape)).tolist():
            around = (before[n, k, y : y + 3, x : x + 3] * block.conv.weight[0, 0]).sum() + block.conv.bias[0]
            after[n, k, y, x] = around + expected[n, :, y, x].max()
        expected = after.relu() if step == 0 else after
    torch.testing.assert_close(block(scores), expected)
    order = torch.randperm(4)
    torch.testing.assert_close(block(scores[:, order]), block(scores)[:, order])
    block.conv.bias.data.fill_(-9.0)
    assert block(scores).min() < 0  # no ReLU at the end


def test_shapes_and_sizes_are_the_published_ones():
    cfg = mic_det.load_config("gta2cs_seg_lcmsm", ["MODEL.LANGUAGE_HEAD.TEXT_BANK", "random"])
    with torch.device("meta"):
        student = META_ARCH_REGISTRY.get("EncoderDecoder")(cfg)
        images = torch.empty(2, 3, 512, 512)
    head, features = student.language_head, student.backbone(images)
    assert [tuple(level.shape[1:]) for level in features.values()] == [
        (64, 128, 128),
        (128, 64, 64),
        (320, 32, 32),
        (512, 16, 16),
    ]
    assert head.text.bank.shape == (19, 1024) and head.text().shape == (19, 512)
    assert sum(parameter.numel() for parameter in head.text.parameters()) == 524_800
    assert head.decoder.embed(features).shape == (2, 512, 128, 128)
    assert head.decoder.classifier.in_channels == 531 and student.sem_seg_head.classifier.in_channels == 512
    assert student.observe(images, head).logits.shape == (2, 19, 128, 128)
    assert student.predict(images, head).shape == (2, 19, 512, 512)


def test_a_step_has_the_four_terms_and_their_decoders(model, batch):
    seen = []
    for name in ("sem_seg_head", "language_head"):
        getattr(model.student, name).register_forward_hook(lambda *_, name=name: seen.append(name))
    assert set(model(batch)) == LOSSES
    # source, masked source, mixed, masked mixed
    assert seen == ["sem_seg_head", "language_head", "sem_seg_head", "language_head"]
    assert set(model(AdaptationBatch(batch.source))) == {"loss_seg", "loss_seg_source_mask"}


def test_masked_terms_are_those_of_source_and_mix(tiny_seg_cfg, batch):
    """Without masks, jitter and text, the second decoder learns from the same images and labels as the first."""
    still = ("MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.AUGMENT.JITTER", 0.0, "MODEL.MIC.AUGMENT.BLUR_PROB", 0.0)
    model = build_model(tiny_seg_cfg(*LCMSM, *still, "MODEL.LANGUAGE_HEAD.TEXT_BANK", "none")).train()
    model.student.language_head.load_state_dict(model.student.sem_seg_head.state_dict())
    losses = {name: float(loss) for name, loss in model(batch).items()}
    assert losses["loss_seg_source_mask"] == pytest.approx(losses["loss_seg"], rel=1e-5)
    assert losses["loss_seg_mask"] == pytest.approx(losses["loss_seg_mix"], rel=1e-5)


def test_gradients_reach_the_projection_from_masked_terms_only(model, batch):
    losses = model(batch)
    projection = model.student.language_head.text.projection
    assert not model.student.language_head.text.bank.requires_grad
    for name, loss in losses.items():
        found = torch.autograd.grad(loss, projection.weight, retain_graph=True, allow_unused=True)[0]
        assert (found is not None and bool(found.any())) == name.endswith("_mask"), name
    assert set(dict(model.student.named_parameters())) == {name.removeprefix("student.") for name in gradients(model, [batch])[0]}


def test_pseudo_labels_come_from_the_teachers_language_decoder_on_complete_images(model, batch):
    images = model.student.preprocess_image(batch.target).tensor
    for parameter in model.student.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    teacher = copy.deepcopy(model.teacher.model)
    expected = teacher.predict(images, teacher.language_head).argmax(dim=1)
    assert not torch.equal(expected, teacher.predict(images).argmax(dim=1))
    seen = []
    model.mixing = lambda source, target: seen.append(target) or target
    model(batch)
    assert torch.equal(seen[0][0], images) and torch.equal(seen[0][1], expected)


def test_the_teacher_averages_both_decoders_and_shares_the_projection(model):
    before = {name: value.clone() for name, value in model.teacher.model.named_parameters()}
    for parameter in model.student.parameters():
        parameter.data.add_(1.0)
    model.update_teacher(10_000)
    averaged = set()
    for (name, own), other in zip(model.teacher.model.named_parameters(), model.student.parameters(), strict=True):
        if name.startswith("language_head.text."):
            assert torch.equal(own, other)
        else:
            torch.testing.assert_close(own, before[name] + (1 - model.teacher.alpha) * (other - before[name]))
            averaged.add(name.split(".")[0])
    assert averaged == {"backbone", "sem_seg_head", "language_head"}


def test_only_the_language_decoder_depends_on_the_text(tiny_seg_cfg):
    inputs = [{"image": samples(1, False, 3)[0]["image"]}]
    found = {}
    for decoder in ("plain", "language", "mean"):
        torch.manual_seed(0)
        student = build_model(tiny_seg_cfg(*LCMSM, "TEST.SEM_SEG.DECODER", decoder)).student.eval()
        student.language_head.decoder.classifier.weight.data.mul_(100)
        with torch.no_grad():
            first = student(inputs)[0]["sem_seg"]
            student.language_head.text.bank.normal_()
            assert torch.equal(student(inputs)[0]["sem_seg"], first) == (decoder == "plain")
        found[decoder] = first
    torch.testing.assert_close(found["mean"], (found["plain"] + found["language"]) / 2)


@pytest.mark.parametrize("window", [(), ("TEST.SEM_SEG.WINDOW", (32, 64), "TEST.SEM_SEG.WINDOW_STRIDE", (32, 32))])
def test_windows_use_the_chosen_decoder(tiny_seg_cfg, window):
    student = build_model(tiny_seg_cfg(*LCMSM, *window, "TEST.SEM_SEG.DECODER", "language")).student.eval()
    seen = []
    student.sem_seg_head.register_forward_hook(lambda *_: seen.append("plain"))
    student([{"image": samples(1, False, 3)[0]["image"]}])
    assert not seen


def test_hrda_fuses_the_language_decoders_answers(tiny_seg_cfg, batch):
    """As if the language decoder were the only one."""
    model = build_model(tiny_seg_cfg(*HRDA, *LCMSM)).eval()
    student, images = model.student, model.student.preprocess_image(batch.source).tensor
    only = copy.deepcopy(student)
    only.sem_seg_head = only.language_head
    with torch.no_grad():
        torch.testing.assert_close(student.predict(images, student.language_head), only.predict(images))
        observed = []
        for network, head in ((student, student.language_head), (only, None)):
            torch.manual_seed(0)
            observed.append(network.observe(images, head))
        torch.testing.assert_close(observed[0].logits, observed[1].logits)
        assert not torch.allclose(student.predict(images), only.predict(images))
    details = {name.replace("loss_seg", "loss_seg_detail") for name in LOSSES}
    assert set(model.train()(batch)) == LOSSES | details


def test_without_text_the_second_decoder_is_like_the_first(tiny_seg_cfg, caplog):
    student = build_model(tiny_seg_cfg(*LCMSM, "MODEL.LANGUAGE_HEAD.TEXT_BANK", "none")).student
    assert isinstance(student.language_head, DecodeHead) and not caplog.records
    assert isinstance(build_model(tiny_seg_cfg(*LCMSM)).student.language_head, LanguageHead)
    assert "random class embeddings, which know nothing" in caplog.text
    (note,) = task_of(tiny_seg_cfg(*LCMSM)).notes(tiny_seg_cfg(*LCMSM))  # of the run's report
    assert "random class embeddings, which know nothing" in note and not task_of(tiny_seg_cfg()).notes(tiny_seg_cfg())


def test_wrong_values_are_one_sentence(tiny_seg_cfg):
    with pytest.raises(UserError, match="TEMPERATURE must be positive"):
        build_model(tiny_seg_cfg(*LCMSM, "MODEL.LANGUAGE_HEAD.TEMPERATURE", 0.0))
    with pytest.raises(UserError, match="DECODER language needs MODEL.LANGUAGE_HEAD.ENABLED True"):
        build_model(tiny_seg_cfg("TEST.SEM_SEG.DECODER", "language"))
    with pytest.raises(UserError, match="DECODER must be one of plain, language, mean"):
        build_model(tiny_seg_cfg(*LCMSM, "TEST.SEM_SEG.DECODER", "both"))
    for wrong in (("MODEL.MIC.MASK.IMAGES", "target"), ("MODEL.MIC.LOSS_WEIGHT", 0.0)):
        with pytest.raises(UserError, match="the language decoder learns from masked images with true labels"):
            build_model(tiny_seg_cfg(*LCMSM, *wrong))
    with pytest.raises(UserError, match="source_and_mixed takes the mixed images"):
        build_model(tiny_seg_cfg(*LCMSM, "MODEL.MIC.MIX.ENABLED", False))


def test_embeddings_do_not_share_memory_with_the_bank():
    bank = torch.randn(3, 4)
    text = TextEmbeddings(bank, 2)
    bank.zero_()
    assert text.bank.any()


def test_a_trained_model_can_do_without_its_language_decoder(tiny_seg_cfg, tmp_path):
    model = build_model(tiny_seg_cfg(*LCMSM)).eval()
    torch.save({"model": model.state_dict()}, tmp_path / "lcmsm.pth")
    plain = build_model(tiny_seg_cfg()).eval()
    load_weights(plain, str(tmp_path / "lcmsm.pth"))
    inputs = [{"image": samples(1, False, 3)[0]["image"]}]
    with torch.no_grad():
        assert torch.equal(plain(inputs)[0]["sem_seg"], model(inputs)[0]["sem_seg"])
    with pytest.raises(UserError, match="does not fit the configured model"):  # but it is not invented
        torch.save({"model": plain.state_dict()}, tmp_path / "plain.pth")
        load_weights(model, str(tmp_path / "plain.pth"))


def test_passes_one_after_the_other_have_the_summed_gradients(model, batch):
    """Also for the projection, which two of them reach."""
    torch.manual_seed(5)
    summed, losses = gradients(model, model.parts(batch))
    model.sequential = True
    torch.manual_seed(5)
    sequential, same = gradients(model, model.parts(batch))
    assert losses == pytest.approx(same) and set(summed) == set(sequential)
    for name, gradient in summed.items():
        torch.testing.assert_close(sequential[name], gradient, rtol=1e-3, atol=1e-5)
