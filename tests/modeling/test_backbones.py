"""Backbones against the libraries they come from."""

import pytest
import torch
from detectron2.modeling import build_backbone, build_model
from torchvision.models import vgg16

import mic_det
from mic_det.checkpoint.weights import load_weights
from mic_det.engine.optimizer import build_optimizer
from mic_det.errors import UserError
from mic_det.modeling.backbone.timm_features import TimmFeatures
from mic_det.modeling.backbone.vgg import STAGES, VGG16
from tests.conftest import REPOSITORY

IMAGES = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def load(name, *overrides):
    return mic_det.load_config(REPOSITORY / f"configs/cs2foggy_{name}.yaml", ["MODEL.DEVICE", "cpu", *overrides])


def test_vgg_gives_torchvisions_features():
    own, reference = VGG16(tuple(STAGES), freeze_at=2).eval(), vgg16(weights=None).eval()
    own.features.load_state_dict(reference.features.state_dict())
    found = own(IMAGES)
    torch.testing.assert_close(found["pool5"], reference.features(IMAGES))
    torch.testing.assert_close(found["conv4"], reference.features[:23](IMAGES))
    for name, shape in own.output_shape().items():
        assert found[name].shape[1:] == (shape.channels, 64 // shape.stride, 96 // shape.stride)


def test_vgg_freezes_its_first_stages_and_names_unknown_ones():
    trained = {name for name, parameter in VGG16(freeze_at=2).named_parameters() if parameter.requires_grad}
    assert min(int(name.split(".")[1]) for name in trained) == 10  # conv3_1
    assert all(parameter.requires_grad for parameter in VGG16(freeze_at=0).parameters())
    with pytest.raises(ValueError, match="no feature 'conv6'"):
        VGG16(("conv6",))


def test_torchvisions_vgg_file_fills_the_student(tmp_path):
    torch.manual_seed(0)
    reference = vgg16(weights=None)
    torch.save(reference.state_dict(), tmp_path / "vgg16.pth")
    model = build_model(load("vgg16", "MODEL.WEIGHTS", ""))
    load_weights(model, str(tmp_path / "vgg16.pth"))
    for name, value in reference.features.state_dict().items():
        assert torch.equal(model.student.backbone.bottom_up.features.state_dict()[name], value)


def test_single_level_vgg():
    backbone = build_backbone(load("vgg16", "MODEL.BACKBONE.NAME", "build_vgg_backbone"))
    assert list(backbone(IMAGES)) == ["conv5"] and backbone(IMAGES)["conv5"].shape == (1, 512, 4, 6)


def test_mae_names_fill_the_vit(tmp_path):
    """A MAE file names its parameters like the plain ViT, with a class token and positions of a 14x14 grid."""
    torch.manual_seed(0)
    model = build_model(load("vitdet_b", "MODEL.WEIGHTS", "", "MODEL.VIT.DEPTH", 1, "MODEL.VIT.GLOBAL_BLOCKS", (0,)))
    net = model.student.backbone.net
    state = {name: torch.randn_like(value) for name, value in net.state_dict().items() if "rel_pos" not in name}
    torch.save({"model": {"cls_token": torch.zeros(1, 1, 768), **state}}, tmp_path / "mae.pth")
    load_weights(model, str(tmp_path / "mae.pth"))
    for name, value in state.items():
        assert torch.equal(net.state_dict()[name], value), name
    assert torch.equal(model.teacher.model.backbone.net.pos_embed, state["pos_embed"])


def test_layer_decay_follows_the_depth():
    """Block b of 12 learns at 0.7^(12 - b) of the base rate, the patch embedding at 0.7^13, all else at the base rate."""
    cfg = load("vitdet_b", "MODEL.WEIGHTS", "", "MODEL.MIC.ALIGN.ENABLED", False)
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, *model.trained_modules())
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, power in (
        ("net.blocks.0.attn.qkv.weight", 12),
        ("net.blocks.11.mlp.fc1.bias", 1),
        ("net.patch_embed.proj.weight", 13),
    ):
        assert rates[id(model.student.backbone.get_parameter(name))] == pytest.approx(1e-4 * 0.7**power)
    assert rates[id(model.student.roi_heads.box_predictor.cls_score.weight)] == pytest.approx(1e-4)


@pytest.mark.parametrize("name", ["convnext_atto", "swin_tiny_patch4_window7_224", "resnet18"])
def test_timm_feature_maps_are_timms_own_in_nchw(name):
    import timm

    torch.manual_seed(0)
    images = torch.randn(1, 3, 224, 224)
    own = TimmFeatures(name).eval()
    torch.manual_seed(0)
    torch.randn(1, 3, 224, 224)
    reference = timm.create_model(name, features_only=True).eval()
    expected = reference(images)[-1]
    expected = expected.permute(0, 3, 1, 2) if name.startswith("swin") else expected
    found = own(images)
    torch.testing.assert_close(found["stride32"], expected, rtol=1e-3, atol=1e-3)  # frozen statistics have their own epsilon
    assert [found[key].shape[-1] for key in own.output_shape()] == [56, 28, 14, 7]
    assert not any("BatchNorm2d" in type(module).__name__ and "Frozen" not in type(module).__name__ for module in own.modules())


def test_timm_mistakes_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no model 'convnext_tini'.*Did you mean 'convnext_tiny'"):
        TimmFeatures("convnext_tini")
    with pytest.raises(UserError, match=r"vit_tiny_patch16_224 gives strides \[16\]"):
        TimmFeatures("vit_tiny_patch16_224")
    with pytest.raises(UserError, match="gone.pth does not exist"):
        TimmFeatures("convnext_atto", str(tmp_path / "gone.pth"))


def test_retinanet_over_our_pyramids_gets_p6_and_p7():
    names = ["conv4", "conv5", "pool5"]
    cfg = load("retinanet", "MODEL.BACKBONE.NAME", "build_vgg_fpn_backbone", "MODEL.FPN.IN_FEATURES", names, "MODEL.WEIGHTS", "")
    student = build_model(cfg).student
    features = student.backbone(IMAGES.repeat(1, 1, 2, 2))
    assert {name: values.shape[-1] for name, values in features.items()} == {"p3": 24, "p4": 12, "p5": 6, "p6": 3, "p7": 2}
