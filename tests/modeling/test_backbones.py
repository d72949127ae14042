"""Backbones against the libraries they come from."""

import pytest
import torch
from detectron2.modeling import build_backbone, build_model
from torchvision.models import vgg16

import mic_det
from mic_det.checkpoint.weights import load_weights
from mic_det.engine.optimizer import build_optimizer
from mic_det.errors import UserError
from mic_det.modeling.backbone.timm_features import TimmFeatures, create_timm, freeze_batch_norm
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


# Batch norm with its activation, before it, in re-parametrised branches, before the convolution; dense and recurrent blocks.
BATCH_NORMS = (
    *("tf_efficientnet_lite0", "mobilenetv3_small_050", "regnetx_002", "resnet18", "repvgg_a0", "resnetv2_50"),
    *("densenet121", "rexnet_100", "ghostnet_100", "hrnet_w18_small", "efficientvit_b0", "mobilevit_xxs"),
)


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_frozen_features_are_those_of_evaluation_mode(name):
    """Statistics are those of a trained network, so that a lost activation, epsilon or scale would show."""
    import timm

    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = timm.create_model(name, features_only=True)
    norms = [module for module in network.modules() if hasattr(module, "running_var")]
    for norm in norms:
        for values, low, high in (
            (norm.running_mean, -0.2, 0.2),
            (norm.running_var, 0.5, 2),
            (norm.weight, 0.5, 1.5),
            (norm.bias, -0.2, 0.2),
        ):
            values.data.uniform_(low, high, generator=generator)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    with torch.no_grad():
        expected = network.eval()(images)
        found = freeze_batch_norm(network).train()(images)
    assert norms
    for own, right in zip(found, expected, strict=True):
        torch.testing.assert_close(own, right, rtol=1e-3, atol=1e-4 * float(right.abs().max()))
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules())


def test_batch_norm_that_cannot_be_frozen_is_named():
    with pytest.raises(UserError, match=r"FREEZE_BN: \d+ layers cannot be frozen, e\.g\. .+: set it to False"):
        freeze_batch_norm(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)))


def test_timm_pyramid_under_a_segmentation_decoder(tiny_seg_cfg):
    names = ["stride4", "stride8", "stride16", "stride32"]
    backbone = ("MODEL.BACKBONE.NAME", "build_timm_backbone", "MODEL.TIMM.NAME", "tf_efficientnet_lite0")
    student = build_model(tiny_seg_cfg(*backbone, "MODEL.SEM_SEG_HEAD.IN_FEATURES", names)).student.eval()
    features = student.backbone(IMAGES)
    assert {name: tuple(values.shape[-2:]) for name, values in features.items()} == {
        name: (64 // stride, 96 // stride) for name, stride in zip(names, (4, 8, 16, 32), strict=True)
    }
    assert all((values < 0).any() for values in features.values())  # a pyramid before the next block's activation
    assert student.predict(IMAGES).shape == (1, 19, 64, 96)


def test_a_file_that_does_not_fill_a_timm_network_is_refused(tmp_path):
    import timm

    torch.manual_seed(1)
    state = timm.create_model("resnet18").state_dict()
    torch.save(state, tmp_path / "resnet18.pth")
    for name, reason in (
        ("regnetx_002", r"resnet18\.pth fills 0 of the \d+ weights of regnetx_002, not stem\.conv\.weight"),
        ("convnext_atto", r"resnet18\.pth: the file lacks 'fc\.weight'"),
        ("tf_efficientnet_lite0", r"lite0 cannot be built from .*resnet18\.pth: .*size mismatch for bn1"),
    ):
        with pytest.raises(UserError, match=reason):
            create_timm(name, str(tmp_path / "resnet18.pth"), features_only=True)
    network = create_timm("resnet18", str(tmp_path / "resnet18.pth"), features_only=True)
    assert torch.equal(network.get_parameter("layer4.1.conv2.weight"), state["layer4.1.conv2.weight"])
    del state["layer3.0.conv1.weight"]
    torch.save(state, tmp_path / "resnet18.pth")
    with pytest.raises(UserError, match=r"not layer3\.0\.conv1\.weight"):
        create_timm("resnet18", str(tmp_path / "resnet18.pth"), features_only=True)


def test_normalisation_must_be_the_timm_networks_own(tmp_path, caplog):
    import timm

    torch.manual_seed(1)
    file = tmp_path / "weights.pth"
    torch.save(timm.create_model("convnext_atto").state_dict(), file)
    network = ("MODEL.TIMM.NAME", "convnext_atto", "MODEL.TIMM.PRETRAINED_FILE", str(file))
    build_backbone(load("convnext_t", *network))
    assert "normalised" not in caplog.text
    build_backbone(load("convnext_t", *network, "INPUT.FORMAT", "BGR", "MODEL.PIXEL_STD", [1.0, 1.0, 1.0]))
    (warning,) = [record.getMessage() for record in caplog.records if "normalised" in record.getMessage()]
    assert "INPUT.FORMAT RGB (it is BGR)" in warning and "MODEL.PIXEL_STD [58.395, 57.12, 57.375]" in warning
    assert "PIXEL_MEAN" not in warning


def test_timm_mistakes_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no model 'convnext_tini'.*Did you mean 'convnext_tiny'"):
        TimmFeatures("convnext_tini")
    with pytest.raises(UserError, match=r"vit_tiny_patch16_224 gives strides \[16\]"):
        TimmFeatures("vit_tiny_patch16_224")
    with pytest.raises(UserError, match="gone.pth does not exist"):
        TimmFeatures("convnext_atto", str(tmp_path / "gone.pth"))
    names = ("MODEL.TIMM.NAME", "convnext_tini", "MODEL.TIMM.PRETRAINED_FILE", str(tmp_path / "gone.pth"))
    with pytest.raises(UserError, match="no model 'convnext_tini'"):
        build_backbone(load("convnext_t", *names))


def test_retinanet_over_our_pyramids_gets_p6_and_p7():
    names = ["conv4", "conv5", "pool5"]
    cfg = load("retinanet", "MODEL.BACKBONE.NAME", "build_vgg_fpn_backbone", "MODEL.FPN.IN_FEATURES", names, "MODEL.WEIGHTS", "")
    student = build_model(cfg).student
    features = student.backbone(IMAGES.repeat(1, 1, 2, 2))
    assert {name: values.shape[-1] for name, values in features.items()} == {"p3": 24, "p4": 12, "p5": 6, "p6": 3, "p7": 2}
