"""Converted weights of torchvision and timm compute what they compute there."""

from collections import OrderedDict

import pytest
import timm
import torch
import torchvision
from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone, build_model
from detectron2.structures import Boxes
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from mic_det.checkpoint.coverage import fill
from mic_det.checkpoint.torchvision_files import COCO_THINGS, from_detector, from_resnet
from mic_det.checkpoint.weights import load_weights
from mic_det.config import load_config
from mic_det.errors import UserError
from tests.conftest import REPOSITORY

# What torchvision's weights need; the README of these keys is the warning that the test below reads.
RGB = ("INPUT.FORMAT", "RGB", "MODEL.PIXEL_MEAN", [123.675, 116.28, 103.53], "MODEL.PIXEL_STD", [58.395, 57.12, 57.375])
POOLING = ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlign", "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 2)
MASK_POOLING = ("MODEL.ROI_MASK_HEAD.POOLER_TYPE", "ROIAlign", "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO", 2)
R18 = ("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64)


def shaken(network):
    """A network in evaluation mode whose normalisation does something."""
    for module in network.modules():
        if hasattr(module, "running_var"):
            for name, low, high in (
                ("weight", 0.5, 1.0),
                ("bias", -0.1, 0.1),
                ("running_mean", -0.1, 0.1),
                ("running_var", 0.5, 1.5),
            ):
                getattr(module, name).data.uniform_(low, high)
    return network.eval()


def resnet(depth, groups=1, width=64):
    """detectron2's, without an FPN."""
    cfg = get_cfg()
    node = cfg.MODEL.RESNETS
    node.DEPTH, node.NUM_GROUPS, node.WIDTH_PER_GROUP, node.STRIDE_IN_1X1 = depth, groups, width, False
    node.RES2_OUT_CHANNELS = 64 if depth < 50 else 256
    node.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    return build_backbone(cfg, ShapeSpec(channels=3))


@pytest.mark.parametrize(
    ("library", "name", "settings"),
    [
        ("torchvision", "resnet18", (18,)),
        ("torchvision", "resnet50", (50,)),
        ("torchvision", "resnext50_32x4d", (50, 32, 4)),
        ("torchvision", "wide_resnet50_2", (50, 1, 128)),
        ("timm", "resnet34", (34,)),
        ("timm", "resnet50", (50,)),
    ],
)
def test_features_are_those_of_the_library(library, name, settings):
    torch.manual_seed(0)
    reference = shaken(torchvision.models.get_model(name) if library == "torchvision" else timm.create_model(name))
    own = resnet(*settings)
    state, unknown = from_resnet(reference.state_dict())
    coverage = fill(own, state)
    assert not unknown and not coverage.random and coverage.unused == ["fc.weight", "fc.bias"]
    images = torch.randn(1, 3, 64, 96)
    relu = reference.relu if library == "torchvision" else reference.act1
    with torch.no_grad():
        features, expected = own.eval()(images), reference.maxpool(relu(reference.bn1(reference.conv1(images))))
        for stage in range(1, 5):
            expected = getattr(reference, f"layer{stage}")(expected)
            torch.testing.assert_close(features[f"res{stage + 1}"], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("depth", [101, 152])
def test_every_entry_of_the_deep_ones_has_its_place(depth):
    with torch.device("meta"):
        reference, own = torchvision.models.get_model(f"resnet{depth}").state_dict(), resnet(depth).state_dict()
    state, unknown = from_resnet(reference)
    assert not unknown and {n: v.shape for n, v in state.items() if not n.startswith("fc.")} == {
        n: v.shape for n, v in own.items()
    }


def test_mask_rcnn_computes_what_torchvisions_does():
    """Backbone, FPN, RPN head, RoI pooling, box head and mask head agree; only the anchors differ, which torchvision rounds."""
    torch.manual_seed(0)
    reference = shaken(MaskRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), num_classes=4))
    cfg = load_config(
        REPOSITORY / "configs/cs2foggy_mic.yaml",
        [
            *R18,
            *RGB,
            *POOLING,
            *MASK_POOLING,
            "MODEL.MASK_ON",
            True,
            "MODEL.ROI_MASK_HEAD.NUM_CONV",
            4,
            "MODEL.ROI_HEADS.NUM_CLASSES",
            3,
        ],
    )
    own = META_ARCH_REGISTRY.get("GeneralizedRCNN")(cfg).eval()
    state, unknown = from_detector(reference.state_dict())
    coverage = fill(own, state)
    assert not unknown and not coverage.random and not coverage.unused
    images, size = torch.randn(1, 3, 64, 96), (64, 96)
    boxes = torch.tensor([[3.0, 5, 60, 60], [10, 10, 90, 50], [0, 0, 30, 20]])
    with torch.no_grad():
        maps, expected = own.backbone(images), reference.backbone(images)
        for found, there in zip(maps.values(), expected.values(), strict=True):
            torch.testing.assert_close(found, there, atol=1e-4, rtol=1e-4)
        random = [torch.randn_like(values) for values in maps.values()]
        for found, there in zip(own.proposal_generator.rpn_head(random), reference.rpn.head(random), strict=True):
            torch.testing.assert_close(found, there)
        heads, there = own.roi_heads, reference.roi_heads
        named = OrderedDict(zip("0123", random, strict=False))
        pooled = heads.box_pooler(random[:4], [Boxes(boxes)])
        torch.testing.assert_close(pooled, there.box_roi_pool(named, [boxes], [size]))
        scores, deltas = heads.box_predictor(heads.box_head(pooled))
        their_scores, their_deltas = there.box_predictor(there.box_head(pooled))
        torch.testing.assert_close(scores, their_scores[:, [1, 2, 3, 0]])
        torch.testing.assert_close(deltas, their_deltas[:, 4:])
        pooled = heads.mask_pooler(random[:4], [Boxes(boxes)])
        torch.testing.assert_close(heads.mask_head.layers(pooled), there.mask_predictor(there.mask_head(pooled))[:, 1:])
    for cells, rounded in zip(
        own.proposal_generator.anchor_generator.cell_anchors, reference.rpn.anchor_generator.cell_anchors, strict=True
    ):
        torch.testing.assert_close(cells.round(), rounded, atol=1.0, rtol=0)


def test_cocos_91_numbers_become_80_classes():
    bias = torch.arange(91.0)
    state, _ = from_detector(
        {"roi_heads.box_predictor.cls_score.bias": bias, "roi_heads.box_predictor.bbox_pred.bias": bias.repeat_interleave(4)}
    )
    assert state["roi_heads.box_predictor.cls_score.bias"].tolist() == [*COCO_THINGS, 0]
    assert state["roi_heads.box_predictor.bbox_pred.bias"].tolist() == [number for number in COCO_THINGS for _ in range(4)]


def test_a_detector_starts_from_torchvisions_resnet_and_says_which_settings_differ(tmp_path, caplog):
    torch.manual_seed(0)
    reference = torchvision.models.resnet18()
    torch.save({"state_dict": {f"module.{name}": value for name, value in reference.state_dict().items()}}, tmp_path / "r18.pth")
    build = lambda *overrides: build_model(load_config(REPOSITORY / "configs/cs2foggy_mic.yaml", [*R18, *overrides]))  # noqa: E731
    model = build()
    load_weights(model, str(tmp_path / "r18.pth"))
    for network in (model.student, model.teacher.model):
        assert torch.equal(network.backbone.bottom_up.res5[1].conv2.weight, reference.layer4[1].conv2.weight)
    assert (
        "set INPUT.FORMAT RGB; MODEL.PIXEL_MEAN [123.675, 116.28, 103.53]; MODEL.PIXEL_STD [58.395, 57.12, 57.375]."
        in caplog.text
    )
    caplog.clear()
    load_weights(build(*RGB), str(tmp_path / "r18.pth"))
    assert "other settings" not in caplog.text
    torch.save(timm.create_model("resnet18d").state_dict(), tmp_path / "deep_stem.pth")
    with pytest.raises(UserError, match=r"deep_stem\.pth has .* no place for: conv1\.0\.weight"):
        load_weights(model, str(tmp_path / "deep_stem.pth"))


def test_a_segmentation_encoder_starts_from_torchvisions_resnet(tiny_seg_cfg, tmp_path):
    torch.manual_seed(0)
    reference = torchvision.models.resnet18()
    torch.save(reference.state_dict(), tmp_path / "r18.pth")
    features = ["res2", "res3", "res4", "res5"]
    cfg = tiny_seg_cfg(
        *("MODEL.BACKBONE.NAME", "build_resnet_backbone", *R18, "MODEL.RESNETS.OUT_FEATURES", features),
        *("MODEL.SEM_SEG_HEAD.IN_FEATURES", features, "MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 0.0),
    )
    model = build_model(cfg)
    load_weights(model, str(tmp_path / "r18.pth"))
    assert torch.equal(model.teacher.model.backbone.res3[0].shortcut.weight, reference.layer2[0].downsample[0].weight)
