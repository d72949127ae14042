"""HRDA against published counts and a composition by loops."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mic_det.config import load_config
from mic_det.modeling import HRDA
from mic_det.modeling.sliding_window import slide, window_corners

SIZE, CROP = 64, 32


class Backbone(nn.Module):
    """Mean of 4x4 pixels, so that everything can be computed by hand."""

    size_divisibility = 0

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, images):
        return {"f": F.avg_pool2d(images, self.stride)}


class Head(nn.Module):
    def __init__(self, stride, channels, seed):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(3, channels, 1)
        generator = torch.Generator().manual_seed(seed)
        self.conv.weight.data = torch.randn(self.conv.weight.shape, generator=generator)

    def forward(self, features):
        return self.conv(features["f"])


def hrda(stride=4, classes=2, **arguments):
    return HRDA(
        backbone=Backbone(stride),
        sem_seg_head=Head(stride, classes, 0),
        scale_attention=arguments.pop("scale_attention", Head(stride, classes, 1)),
        detail_crop=(CROP, CROP),
        pixel_mean=[0.0] * 3,
        pixel_std=[1.0] * 3,
        **arguments,
    )


def up(maps, size):
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def test_windows_are_as_many_as_published():
    assert len(window_corners((1024, 2048), (1024, 1024), (512, 512))) == 3
    assert len(window_corners((1080, 1920), (1024, 1024), (512, 512))) == 6
    assert len(window_corners((1024, 1024), (512, 512), (256, 256))) == 9
    assert window_corners((1080, 1920), (1024, 1024), (512, 512))[-1] == (56, 896)
    assert window_corners((40, 40), (64, 64), (32, 32)) == [(0, 0)]


def test_slide_is_the_mean_over_windows():
    torch.manual_seed(0)
    images = torch.rand(2, 1, 11, 16)

    def network(crops):  # depends on the place inside the window
        ramp = torch.arange(crops.shape[-1]).float()
        return crops * ramp

    expected, counts = torch.zeros(2, 1, 11, 16), torch.zeros(11, 16)
    for top in (0, 3, 5):
        for left in (0, 4, 8):
            crop = images[..., top : top + 6, left : left + 8]
            expected[..., top : top + 6, left : left + 8] += network(crop)
            counts[top : top + 6, left : left + 8] += 1
    for batch in (0, 2, 5):
        torch.testing.assert_close(slide(network, images, (6, 8), (3, 4), batch=batch), expected / counts)


@pytest.mark.parametrize(("below", "largest"), [(False, 512), (True, 504)])
def test_detail_offsets(below, largest):
    model = hrda(offset_below_limit=below)
    model.detail_crop = (512, 512)
    corners = [model.sample_corner((1024, 1024)) for _ in range(3000)]
    tops = {top for top, _ in corners}
    assert tops == set(range(0, largest + 1, 8)) == {left for _, left in corners}


def test_corners_fall_between_cells_of_both_resolutions():
    assert hrda(stride=4).divisor == 8 and hrda(stride=8).divisor == 16 and hrda(stride=8, fixed_divisor=8).divisor == 8
    with pytest.raises(ValueError, match="must be a multiple of 16"):
        HRDA(**{**vars_of(hrda(stride=8)), "detail_crop": (24, 24)})


def vars_of(model):
    return {
        "backbone": model.backbone,
        "sem_seg_head": model.sem_seg_head,
        "scale_attention": None,
        "fixed_attention": 0.5,
        "pixel_mean": [0.0] * 3,
        "pixel_std": [1.0] * 3,
    }


@pytest.mark.parametrize("stride", [4, 8])
def test_training_fusion_equals_a_composition_by_hand(stride, monkeypatch):
    model = hrda(stride, detail_weight=0.3, context_weight=0.2)
    corner = (16, 32)
    monkeypatch.setattr(model, "sample_corner", lambda size: corner)
    torch.manual_seed(0)
    images, labels, weights = torch.randn(2, 3, SIZE, SIZE), torch.randint(0, 2, (2, SIZE, SIZE)), torch.rand(2, SIZE, SIZE)
    small = F.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
    context = model.sem_seg_head(model.backbone(small))
    attention = model.scale_attention(model.backbone(small)).sigmoid()
    inside = torch.zeros_like(attention)
    top, left = (side // (2 * stride) for side in corner)
    cells = CROP // (2 * stride)
    inside[..., top : top + cells, left : left + cells] = 1
    attention = attention * inside
    crop = images[..., corner[0] : corner[0] + CROP, corner[1] : corner[1] + CROP]
    detail = model.sem_seg_head(model.backbone(crop))
    size = SIZE // stride
    fused = up((1 - attention) * context, (size, size))
    grown = up(attention, (size, size))
    for y in range(CROP // stride):
        for x in range(CROP // stride):
            v, u = corner[0] // stride + y, corner[1] // stride + x
            fused[..., v, u] += grown[..., v, u] * detail[..., y, x]
    observation = model.observe(images)
    torch.testing.assert_close(observation.logits, fused)
    assert observation.features["f"].shape[-1] == SIZE // 2 // stride
    losses = model.losses(observation, labels, weights)

    def loss(logits, box=slice(None)):
        return (F.cross_entropy(up(logits, labels[box].shape[-2:]), labels[box], reduction="none") * weights[box]).mean()

    box = (slice(None), slice(16, 48), slice(32, 64))
    torch.testing.assert_close(losses["loss_seg"], 0.5 * loss(fused))
    torch.testing.assert_close(losses["loss_seg_detail"], 0.3 * loss(detail, box))
    torch.testing.assert_close(losses["loss_seg_context"], 0.2 * loss(context))
    model.attended_context_loss = True
    torch.testing.assert_close(
        model.losses(observation, labels, weights)["loss_seg_context"], 0.2 * loss((1 - attention) * context)
    )


def test_the_published_divisor_shifts_deeplabs_details_by_a_cell(monkeypatch):
    """Box 8..520 at stride 8: context cells 0..32, which are rows 0..64 of the details, but the details stand in 1..65."""
    model = hrda(stride=8, fixed_divisor=8)
    model.detail_crop = (512, 512)
    monkeypatch.setattr(model, "sample_corner", lambda size: (8, 8))
    model.sem_seg_head.conv.weight.data.zero_()
    model.sem_seg_head.conv.bias.data.fill_(1.0)
    model.scale_attention = None
    model.fixed_attention = 1.0
    observation = model.observe(torch.zeros(1, 3, 1024, 1024))
    rows = observation.logits[0, 0, :, 30]
    attention = observation.details["attention"][0, 0, :, 10]
    assert attention.nonzero().flatten().tolist() == list(range(32))
    assert rows[0] == 0 and rows[1] == 1  # attended to, but no detail there


@pytest.mark.parametrize("overlap", [True, False])
def test_prediction_fuses_details_of_overlapping_windows(overlap):
    model = hrda(overlap=overlap).eval()
    torch.manual_seed(0)
    images = torch.randn(1, 3, SIZE, SIZE)
    small = F.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
    context = model.sem_seg_head(model.backbone(small))
    attention = model.scale_attention(model.backbone(small)).sigmoid()
    total, counts = torch.zeros(1, 2, 16, 16), torch.zeros(16, 16)
    for top in range(0, SIZE - CROP + 1, CROP // 2 if overlap else CROP):
        for left in range(0, SIZE - CROP + 1, CROP // 2 if overlap else CROP):
            box = (..., slice(top // 4, top // 4 + 8), slice(left // 4, left // 4 + 8))
            total[box] += model.sem_seg_head(model.backbone(images[..., top : top + CROP, left : left + CROP]))
            counts[box[1:]] += 1
    detail = total / counts
    fused = up(attention, (16, 16)) * detail + up((1 - attention) * context, (16, 16))
    size = (SIZE, SIZE)
    torch.testing.assert_close(model.predict(images), up(fused, size))
    model.output = "lr"
    torch.testing.assert_close(model.predict(images), up(context, size))
    model.output = "hr"
    torch.testing.assert_close(model.predict(images), up(detail, size))
    model.output = "att"
    shown = (up(attention, (16, 16)) * fused.softmax(1)).sum(1, keepdim=True)
    torch.testing.assert_close(model.predict(images), up(shown, size))
    sample = [{"image": images[0], "height": 100, "width": 70}]
    torch.testing.assert_close(model(sample)[0]["sem_seg"], up(up(shown, size), (100, 70))[0])
    model.output = "fused"
    torch.testing.assert_close(model(sample)[0]["sem_seg"], up(up(fused, size), (100, 70)).softmax(1)[0])


def test_sizes_that_fit_no_grid_are_padded():
    model = hrda().eval()
    assert model.predict(torch.randn(1, 3, 50, 39)).shape == (1, 2, 50, 39)


def test_a_fixed_attention_needs_no_head():
    model = hrda(scale_attention=None, fixed_attention=0.0).eval()
    images = torch.randn(1, 3, SIZE, SIZE)
    fused = model.predict(images)
    model.output = "lr"
    grown = up(model.sem_seg_head(model.backbone(model.context(images))), (16, 16))
    torch.testing.assert_close(fused, up(grown, (SIZE, SIZE)))


@pytest.mark.parametrize(
    ("config", "overrides", "parameters"),
    [
        ("gta2cs_seg_hrda", (), 85685990),
        ("gta2cs_seg_dacs", ("MODEL.MIC.STUDENT", "HRDA"), 43920300),
        ("gta2cs_seg_dacs", (), 43219846),
        ("gta2cs_seg_daformer", (), 85155283),
    ],
)
def test_whole_networks_have_the_published_number_of_parameters(config, overrides, parameters):
    from detectron2.modeling import META_ARCH_REGISTRY

    cfg = load_config(config, overrides)
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get(cfg.MODEL.MIC.STUDENT)(cfg)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
