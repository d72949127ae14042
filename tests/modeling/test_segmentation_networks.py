"""Encoders and decoders of segmentation against published counts, shapes and independent computations."""

import itertools

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from detectron2.utils.events import EventStorage
from torch import nn

from mic_det.errors import UserError
from mic_det.modeling import EncoderDecoder
from mic_det.modeling.backbone.mit import MiT
from mic_det.modeling.backbone.resnet_v1c import build_resnet_v1c
from mic_det.modeling.decode_head import DAFormerHead, DeepLabV2Head, DepthwiseSeparableASPPHead, SegFormerHead
from mic_det.modeling.decode_head.fusion import ASPP, InterlacedSelfAttention
from mic_det.modeling.pixel_loss import pixel_cross_entropy

MIT = {name: ShapeSpec(channels=c, stride=s) for name, c, s in zip("abcd", (64, 128, 320, 512), (4, 8, 16, 32), strict=True)}
RESNET = {name: ShapeSpec(channels=c, stride=s) for name, c, s in zip("abcd", (256, 512, 1024, 2048), (4, 8, 8, 8), strict=True)}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [("b0", 3319392), ("b1", 13151424), ("b2", 24196288), ("b3", 44072128), ("b4", 60842688), ("b5", 81443008)],
)
def test_mit_has_the_published_number_of_parameters(variant, parameters):
    with torch.device("meta"):
        assert count(MiT(variant)) == parameters


def test_mit_maps_norms_and_stochastic_depth():
    mit = MiT("b0", drop_path=0.1).eval()
    maps = mit(torch.zeros(1, 3, 64, 96))
    assert {name: tuple(values.shape[1:]) for name, values in maps.items()} == {
        "stage1": (32, 16, 24),
        "stage2": (64, 8, 12),
        "stage3": (160, 4, 6),
        "stage4": (256, 2, 3),
    }
    block = mit.stages[0].blocks[0]
    assert (block.layernorm_before.eps, block.layernorm_after.eps, mit.stages[2].layer_norm.eps) == (1e-6,) * 3
    assert mit.stages[1].patch_embeddings.layer_norm.eps == block.attention.sequence_reduction.layer_norm.eps == 1e-5
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for stage in mit.stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * index / 7 for index in range(8)])
    with pytest.raises(UserError, match=r"MODEL\.MIT\.VARIANT: 'b9'"):
        MiT("b9")


def test_resnet_v1c_keeps_an_output_stride_of_8():
    with torch.device("meta"):
        resnet = build_resnet_v1c(101)
        assert count(resnet) == 42519392
        shapes = {name: tuple(values.shape[1:]) for name, values in resnet(torch.zeros(1, 3, 512, 512)).items()}
    assert shapes == {"res2": (256, 128, 128), "res3": (512, 64, 64), "res4": (1024, 64, 64), "res5": (2048, 64, 64)}
    dilations = [block.conv2.dilation[0] for block in resnet.res5]
    assert dilations == [2, 4, 4] and [block.conv2.dilation[0] for block in resnet.res4][:2] == [1, 2]
    with pytest.raises(UserError, match=r"MODEL\.RESNETS\.DEPTH"):
        build_resnet_v1c(18)


@pytest.mark.parametrize(
    ("fusion", "parameters"),
    [("sepaspp", 3712275), ("aspp", 9969939), ("conv1", 530707), ("isa", 1058579), ("sepaspp_f4", 3163155)],
)
def test_daformer_heads_have_the_published_number_of_parameters(fusion, parameters):
    assert count(DAFormerHead(input_shape=MIT, channels=256, num_classes=19, fusion=fusion)) == parameters


def test_the_other_heads_have_the_published_number_of_parameters():
    unused = 19 * 128 + 19  # a classifier that mmsegmentation's SegFormer head creates and never uses
    assert count(SegFormerHead(input_shape=MIT, channels=768, num_classes=19, fusion="conv1")) == 3167398 - unused
    assert count(DeepLabV2Head(input_shape=RESNET, num_classes=19)) == 700454
    assert count(DeepLabV2Head(input_shape=RESNET, num_classes=19, dilations=(6, 12, 18, 24))) == 1400908
    assert count(DepthwiseSeparableASPPHead(input_shape=RESNET, channels=512, num_classes=19)) == 17697923
    with pytest.raises(ValueError, match="FUSION must be one of"):
        DAFormerHead(input_shape=MIT, channels=8, num_classes=2, fusion="none")


@pytest.mark.parametrize("fusion", ["sepaspp", "aspp", "conv1", "isa", "sepaspp_f4"])
def test_daformer_heads_predict_at_the_finest_stride(fusion):
    head = DAFormerHead(input_shape=MIT, channels=8, num_classes=5, fusion=fusion).eval()
    maps = {name: torch.rand(2, shape.channels, 64 // shape.stride, 96 // shape.stride) for name, shape in MIT.items()}
    logits = head(maps)
    assert logits.shape == (2, 5, 16, 24) and head.stride == 4
    changed = {**maps, "d": maps["d"] + 1}
    assert not torch.allclose(head(changed), logits)


def test_the_daformer_decoder_equals_its_definition():
    """Linear embeddings by einsum, upsampling by hand, concatenation in ascending order, a 1x1 fusion."""
    torch.manual_seed(0)
    head = DAFormerHead(input_shape={k: MIT[k] for k in "ab"}, channels=4, num_classes=3, fusion="conv1").eval()
    maps = {"a": torch.rand(1, 64, 4, 6), "b": torch.rand(1, 128, 2, 3)}
    embedded = []
    for embed, values in zip(head.embeddings, maps.values(), strict=True):
        linear = torch.einsum("ec,nchw->nehw", embed.proj.weight, values) + embed.proj.bias.view(1, -1, 1, 1)
        embedded.append(F.interpolate(linear, (4, 6), mode="bilinear", align_corners=False))
    stacked = torch.cat(embedded, dim=1)
    norm = head.fuse.norm
    fused = torch.einsum("oc,nchw->nohw", head.fuse.weight[:, :, 0, 0], stacked)
    fused = (fused / (norm.running_var + norm.eps).sqrt().view(1, -1, 1, 1)).relu()
    torch.testing.assert_close(head(maps), head.classifier(fused), rtol=1e-4, atol=1e-5)


def test_aspp_branches_see_as_far_as_their_dilation():
    pyramid = ASPP(1, 1, dilations=(1, 3), separable=False, norm="").eval()
    for parameter in pyramid.parameters():
        nn.init.constant_(parameter, 1.0 if parameter.ndim > 1 else 0.0)
    impulse = torch.zeros(1, 1, 13, 13)
    impulse[0, 0, 6, 6] = 1
    reached = pyramid(impulse)[0, 0].nonzero()
    assert reached.amin(0).tolist() == [2, 2] and reached.amax(0).tolist() == [10, 10]  # 3 of the branch, 1 of the bottleneck


def test_interlaced_attention_equals_a_loop_over_cells():
    torch.manual_seed(0)
    layer = InterlacedSelfAttention(3, 4, block=2).eval()
    features = torch.rand(1, 3, 4, 6)
    reduced = layer.reduce(features)

    def attend(attention, maps, groups):
        query, key, value = (part(maps)[0] for part in (attention.query, attention.key, attention.value))
        output = torch.zeros_like(maps)
        for cells in groups:
            for y, x in cells:
                scores = torch.stack([query[:, y, x] @ key[:, v, u] for v, u in cells]) / 2  # sqrt(4 channels)
                weights = scores.softmax(0)
                output[0, :, y, x] = sum(w * value[:, v, u] for w, (v, u) in zip(weights, cells, strict=True))
        return output

    far = [[(y, x) for y in range(a, 4, 2) for x in range(b, 6, 2)] for a in range(2) for b in range(2)]
    near = [[(y + a, x + b) for a in range(2) for b in range(2)] for y in range(0, 4, 2) for x in range(0, 6, 2)]
    attended = attend(layer.near, attend(layer.far, reduced, far), near)
    expected = layer.project(torch.cat([attended, reduced], dim=1))
    torch.testing.assert_close(layer(features), expected, rtol=1e-4, atol=1e-5)


def test_deeplabv2_is_the_sum_of_its_branches():
    head = DeepLabV2Head(input_shape={"a": ShapeSpec(channels=3, stride=8)}, num_classes=2, dilations=(1, 2))
    values = torch.rand(1, 3, 7, 9)
    expected = sum(F.conv2d(values, b.weight, b.bias, padding=d, dilation=d) for b, d in zip(head.branches, (1, 2), strict=True))
    torch.testing.assert_close(head({"a": values}), expected)


def test_the_loss_equals_a_loop_over_pixels():
    torch.manual_seed(0)
    logits, labels, weights = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5)), torch.rand(2, 4, 5)
    labels[0, 0], labels[1, 2, 3] = 255, 255
    total, valid = 0.0, 0
    for n, y, x in (labels != 255).nonzero().tolist():
        total += weights[n, y, x] * -logits[n, :, y, x].log_softmax(0)[labels[n, y, x]]
        valid += 1
    torch.testing.assert_close(pixel_cross_entropy(logits, labels, weights), total / valid)
    torch.testing.assert_close(pixel_cross_entropy(logits, labels, weights, mean_over_ignored=True), total / labels.numel())
    torch.testing.assert_close(pixel_cross_entropy(logits, labels), F.cross_entropy(logits, labels, ignore_index=255))
    half = labels.clone()
    half[:, :2] = 255
    published = pixel_cross_entropy(logits, half, mean_over_ignored=True)
    assert published == pytest.approx(
        float(F.cross_entropy(logits, half, ignore_index=255)) * float((half != 255).float().mean())
    )
    assert pixel_cross_entropy(logits, torch.full_like(labels, 255)) == 0
    smooth = pixel_cross_entropy(logits, F.interpolate(labels[:, None].float(), scale_factor=4)[:, 0].long())
    assert torch.isfinite(smooth)


class Colour(nn.Module):
    """A decoder without weights: the image's own channels are the scores."""

    stride = 1

    def forward(self, features):
        return features["image"]


class Identity(nn.Module):
    size_divisibility = 4

    def forward(self, images):
        return {"image": images}


def network(**arguments):
    return EncoderDecoder(
        backbone=Identity(), sem_seg_head=Colour(), pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3, **arguments
    ).eval()


def test_samples_are_padded_for_training_and_cut_for_inference():
    model = network()
    samples = [
        {"image": torch.full((3, 5, 7), 7, dtype=torch.uint8), "sem_seg": torch.ones(5, 7, dtype=torch.uint8)},
        {"image": torch.zeros(3, 6, 4, dtype=torch.uint8), "sem_seg": torch.zeros(6, 4, dtype=torch.uint8)},
    ]
    labels = model.labels(samples)
    assert model.preprocess_image(samples).tensor.shape == (2, 3, 8, 8) and labels.shape == (2, 8, 8)
    assert (labels[0, 5:] == 255).all() and (labels[0, :5, :7] == 1).all() and (labels[1, :, 4:] == 255).all()
    found = model([{"image": samples[0]["image"], "height": 10, "width": 14}])[0]["sem_seg"]
    assert found.shape == (3, 10, 14)
    torch.testing.assert_close(found.sum(0), torch.ones(10, 14))
    with EventStorage():
        model.train()
        assert set(model(samples)) == {"loss_seg"}


def test_windows_and_flips_change_nothing_for_a_pointwise_network():
    torch.manual_seed(0)
    sample = {"image": torch.randint(0, 6, (3, 12, 20), dtype=torch.uint8)}
    whole = network()([sample])[0]["sem_seg"]
    for arguments in ({"window": (8, 8), "window_stride": (4, 4)}, {"flip": True}, {"window": (50, 8), "window_stride": (4, 4)}):
        for batch in (0, 1, 3):
            torch.testing.assert_close(network(window_batch=batch, **arguments)([sample])[0]["sem_seg"], whole)


class Edges(nn.Module):
    """A decoder that sees neighbours and knows left from right."""

    stride = 1

    def __init__(self, seed):
        super().__init__()
        self.weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(seed))

    def forward(self, features):
        return F.conv2d(features["image"], self.weight, padding=1)


@pytest.mark.parametrize("decoder", ["plain", "mean"])
@pytest.mark.parametrize("flip", [False, True])
def test_scores_are_the_mean_of_probabilities_of_resized_mean_logits(flip, decoder):
    """By numpy and OpenCV: logits are averaged over windows and resized, probabilities over the mirror image and decoders."""
    heads = [Edges(0), Edges(1)]
    model = EncoderDecoder(
        *(Identity(), heads[0], [1.0] * 3, [2.0] * 3, heads[1]),
        **{"window": (8, 8), "window_stride": (4, 4), "flip": flip, "test_decoder": decoder},
    ).eval()
    image = torch.randint(0, 6, (3, 10, 18), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    padded = F.pad((image - 1.0) / 2.0, (0, 2, 0, 2))  # to multiples of 4

    def answer(head, mirrored):
        total, count = torch.zeros(4, 12, 20), torch.zeros(12, 20)
        for top, left in itertools.product((0, 4), (0, 4, 8, 12)):
            box = (slice(top, top + 8), slice(left, left + 8))
            seen = padded.flip(2) if mirrored else padded
            total[(slice(None), *box)] += head({"image": seen[(slice(None), *box)][None]})[0]
            count[box] += 1
        logits = (total / count).flip(2) if mirrored else total / count
        logits = logits[:, :10, :18].permute(1, 2, 0).numpy()
        raised = np.exp(cv2.resize(logits, (50, 33), interpolation=cv2.INTER_LINEAR))
        return raised / raised.sum(axis=2, keepdims=True)

    chosen = heads if decoder == "mean" else heads[:1]
    expected = np.mean([answer(*pair) for pair in itertools.product(chosen, (False, True) if flip else (False,))], axis=0)
    with torch.no_grad():
        found = model([{"image": image, "height": 33, "width": 50}])[0]["sem_seg"]
    np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), expected, atol=2e-5)
