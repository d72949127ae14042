"""Encoders and published segmentation checkpoints: names written by hand from the published key table, every tensor used."""

import re

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY, build_model

from mic_det.checkpoint import conversion
from mic_det.checkpoint.encoders import encoder_weights
from mic_det.checkpoint.published_segmentation import from_published, to_published
from mic_det.checkpoint.weights import load_weights
from mic_det.config import load_config
from mic_det.errors import UserError
from mic_det.modeling.backbone.mit import VARIANTS, MiT
from mic_det.modeling.backbone.resnet_v1c import build_resnet_v1c

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def mit_shapes(variant):
    """{name: shape} of SegFormer's `mit_b*.pth`, written from the published table."""
    channels, depths = VARIANTS[variant]
    shapes, before = {}, 3
    for s, (d, depth, reduction) in enumerate(zip(channels, depths, (8, 4, 2, 1), strict=True), start=1):
        kernel = 7 if s == 1 else 3
        shapes |= {f"patch_embed{s}.proj.weight": (d, before, kernel, kernel), f"patch_embed{s}.proj.bias": (d,)}
        for part in ("weight", "bias"):
            shapes |= {f"patch_embed{s}.norm.{part}": (d,), f"norm{s}.{part}": (d,)}
        for i in range(depth):
            block = f"block{s}.{i}"
            shapes |= {f"{block}.attn.q.weight": (d, d), f"{block}.attn.kv.weight": (2 * d, d), f"{block}.attn.kv.bias": (2 * d,)}
            shapes |= {f"{block}.attn.q.bias": (d,), f"{block}.attn.proj.weight": (d, d), f"{block}.attn.proj.bias": (d,)}
            shapes |= {f"{block}.norm{n}.{part}": (d,) for n in (1, 2) for part in ("weight", "bias")}
            if reduction > 1:
                shapes |= {f"{block}.attn.sr.weight": (d, d, reduction, reduction), f"{block}.attn.sr.bias": (d,)}
                shapes |= {f"{block}.attn.norm.{part}": (d,) for part in ("weight", "bias")}
            shapes |= {f"{block}.mlp.fc1.weight": (4 * d, d), f"{block}.mlp.fc1.bias": (4 * d,)}
            shapes |= {f"{block}.mlp.fc2.weight": (d, 4 * d), f"{block}.mlp.fc2.bias": (d,)}
            shapes |= {f"{block}.mlp.dwconv.dwconv.weight": (4 * d, 1, 3, 3), f"{block}.mlp.dwconv.dwconv.bias": (4 * d,)}
        before = d
    return shapes


def norm(name, channels):
    return {f"{name}.bn.{part}": () if part == "num_batches_tracked" else (channels,) for part in NORM}


def daformer_shapes(prefix, channels, classes, width=256, context=True):
    shapes = {}
    for level, count in enumerate(channels):
        shapes |= {
            f"{prefix}embed_layers.{level}.proj.weight": (width, count),
            f"{prefix}embed_layers.{level}.proj.bias": (width,),
        }
    fuse, total = f"{prefix}fuse_layer", width * len(channels)
    if context:
        shapes |= {f"{fuse}.aspp_modules.0.conv.weight": (width, total, 1, 1), **norm(f"{fuse}.aspp_modules.0", width)}
        for branch in (1, 2, 3):
            module = f"{fuse}.aspp_modules.{branch}"
            shapes |= {f"{module}.depthwise_conv.conv.weight": (total, 1, 3, 3), **norm(f"{module}.depthwise_conv", total)}
            shapes |= {f"{module}.pointwise_conv.conv.weight": (width, total, 1, 1), **norm(f"{module}.pointwise_conv", width)}
        shapes |= {f"{fuse}.bottleneck.conv.weight": (width, 4 * width, 3, 3), **norm(f"{fuse}.bottleneck", width)}
    else:
        shapes |= {f"{fuse}.conv.weight": (width, total, 1, 1), **norm(fuse, width)}
    return {**shapes, f"{prefix}conv_seg.weight": (classes, width, 1, 1), f"{prefix}conv_seg.bias": (classes,)}


def hrda_shapes(variant):
    channels = VARIANTS[variant][0]
    return {
        **{f"backbone.{name}": shape for name, shape in mit_shapes(variant).items()},
        **daformer_shapes("decode_head.head.", channels, 19),
        **daformer_shapes("decode_head.scale_attention.", channels, 19, context=False),
    }


def fill(shapes):
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.tensor(5) if name.endswith("tracked") else torch.rand(shape, generator=generator)
        for name, shape in shapes.items()
    }


def test_the_published_hrda_has_1126_tensors():
    assert len(hrda_shapes("b5")) == 1126


def test_every_tensor_of_hrda_is_used_and_none_is_missing():
    converted, unknown = from_published({name: torch.empty(shape, device="meta") for name, shape in hrda_shapes("b5").items()})
    with torch.device("meta"):
        own = META_ARCH_REGISTRY.get("HRDA")(load_config("gta2cs_seg_hrda")).state_dict()
    assert not unknown and {n: v.shape for n, v in converted.items()} == {n: v.shape for n, v in own.items()}


def test_keys_and_values_are_the_halves_of_the_published_projection():
    state = fill(hrda_shapes("b0"))
    converted, _ = from_published(state)
    joint = state["backbone.block2.1.attn.kv.weight"]
    attention = "backbone.stages.1.blocks.1.attention."
    assert torch.equal(converted[f"{attention}k_proj.weight"], joint[:64])
    assert torch.equal(converted[f"{attention}v_proj.weight"], joint[64:])
    assert torch.equal(converted["backbone.stages.2.layer_norm.bias"], state["backbone.norm3.bias"])
    back, unknown = to_published(converted)
    assert not unknown and set(back) == set(state) and all(torch.equal(back[name], state[name]) for name in state)


CONFIGS = {
    "daformer": ("gta2cs_seg_daformer", ()),
    "daformer_aspp": ("gta2cs_seg_daformer", ("MODEL.SEM_SEG_HEAD.FUSION", "aspp")),
    "daformer_conv1": ("gta2cs_seg_daformer", ("MODEL.SEM_SEG_HEAD.FUSION", "conv1")),
    "segformer": ("gta2cs_seg_daformer", ("MODEL.SEM_SEG_HEAD.NAME", "SegFormerHead", "MODEL.SEM_SEG_HEAD.CONVS_DIM", 768)),
    "deeplabv2": ("gta2cs_seg_dacs", ()),
    "hrda_deeplabv2": ("gta2cs_seg_dacs", ("MODEL.MIC.STUDENT", "HRDA")),
    "deeplabv3plus": (
        "gta2cs_seg_dacs",
        ("MODEL.SEM_SEG_HEAD.NAME", "DepthwiseSeparableASPPHead", "MODEL.SEM_SEG_HEAD.IN_FEATURES", ["res2", "res5"])
        + ("MODEL.SEM_SEG_HEAD.DILATIONS", (1, 12, 24, 36), "MODEL.SEM_SEG_HEAD.CONVS_DIM", 512),
    ),
}
# Entries that the published table lists for each decoder.
LISTED = {
    "daformer": r"decode_head\.(embed_layers\.\d\.proj|fuse_layer\.(aspp_modules\.\d\..*|bottleneck\.(conv|bn))|conv_seg)\.\w+",
    "daformer_aspp": r"decode_head\.(embed_layers\.\d\.proj|fuse_layer\.(aspp_modules\.\d\.(conv|bn)|bottleneck\.(conv|bn))|conv_seg)\.\w+",
    "daformer_conv1": r"decode_head\.(embed_layers\.\d\.proj|fuse_layer\.(conv|bn)|conv_seg)\.\w+",
    "segformer": r"decode_head\.(linear_c\.\d\.proj|linear_fuse\.(conv|bn)|linear_pred)\.\w+",
    "deeplabv2": r"decode_head\.aspp_modules\.[01]\.conv\.(weight|bias)",
    "hrda_deeplabv2": r"decode_head\.(head|scale_attention)\.aspp_modules\.[01]\.conv\.(weight|bias)",
    "deeplabv3plus": r"decode_head\.(image_pool\.1|aspp_modules\.(0|[123]\.(depthwise|pointwise)_conv)|bottleneck|c1_bottleneck|"
    r"sep_bottleneck\.[01]\.(depthwise|pointwise)_conv)\.(conv|bn)\.\w+|decode_head\.conv_seg\.\w+",
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_decoder_goes_there_and_back(kind):
    name, overrides = CONFIGS[kind]
    cfg = load_config(name, overrides)
    with torch.device("meta"):
        own = META_ARCH_REGISTRY.get(cfg.MODEL.MIC.STUDENT)(cfg).state_dict()
    published, unknown = to_published(own, cfg.MODEL.SEM_SEG_HEAD.NAME)
    assert not unknown
    for entry in published:
        if entry.startswith("decode_head."):
            assert re.fullmatch(LISTED[kind], entry), entry
    back, unknown = from_published(published)
    assert not unknown and {n: v.shape for n, v in back.items()} == {n: v.shape for n, v in own.items()}


def test_segformers_unused_classifier_is_dropped_and_strangers_are_listed():
    entries = {f"decode_head.{name}.weight": torch.zeros(1) for name in ("linear_c.0.proj", "linear_pred", "conv_seg")}
    converted, unknown = from_published(
        {**entries, "decode_head.auxiliary.weight": torch.zeros(1), "neck.weight": torch.zeros(1)}
    )
    assert list(converted) == ["sem_seg_head.embeddings.0.proj.weight", "sem_seg_head.classifier.weight"]
    assert unknown == ["decode_head.auxiliary.weight", "neck.weight"]


def daformer_b0(tmp_path):
    cfg = load_config(
        "gta2cs_seg_daformer",
        ["MODEL.MIT.VARIANT", "b0", "MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", ""],
    )
    shapes = {f"backbone.{name}": shape for name, shape in mit_shapes("b0").items()}
    return cfg, fill({**shapes, **daformer_shapes("decode_head.", VARIANTS["b0"][0], 19)})


def test_a_training_checkpoint_fills_student_teacher_and_imagenet_features(tmp_path):
    cfg, student = daformer_b0(tmp_path)
    teacher, features = ({name: value + offset for name, value in student.items()} for offset in (1, 2))
    networks = {"model.": student, "ema_model.": teacher, "imnet_model.": features}
    state = {f"{prefix}{name}": value for prefix, own in networks.items() for name, value in own.items()}
    torch.save({"state_dict": state, "meta": {"iter": 3}}, tmp_path / "published.pth")
    converted = conversion.mic_checkpoint(tmp_path / "published.pth")
    torch.save({"model": converted}, tmp_path / "mic.pth")
    model = build_model(cfg)
    load_weights(model, str(tmp_path / "mic.pth"))
    norms = [own.backbone.stages[1].layer_norm.weight for own in (model.student, model.teacher.model, model.feature_distance)]
    for found, offset in zip(norms, (0, 1, 2), strict=True):
        assert torch.equal(found, student["backbone.norm2.weight"] + offset)
    with pytest.raises(UserError, match="convert it with `mic-det convert`"):
        load_weights(model, str(tmp_path / "published.pth"))


def test_a_published_checkpoint_has_one_network_for_both(tmp_path):
    cfg, student = daformer_b0(tmp_path)
    torch.save({"state_dict": {f"module.model.{name}": value for name, value in student.items()}}, tmp_path / "published.pth")
    converted = conversion.mic_checkpoint(tmp_path / "published.pth")
    assert torch.equal(
        converted["student.backbone.stages.0.layer_norm.bias"], converted["teacher.model.backbone.stages.0.layer_norm.bias"]
    )
    torch.save({"model": converted}, tmp_path / "mic.pth")
    conversion.check_fit(cfg, converted)
    back = conversion.published_checkpoint(tmp_path / "mic.pth", "student")
    assert set(back) == {f"model.{name}" for name in student}
    assert all(torch.equal(back[f"model.{name}"], value) for name, value in student.items())


@pytest.mark.parametrize("source", ["original", "v4", "v5"])
def test_encoders_load_from_every_public_naming(tmp_path, source):
    """SegFormer's own file, and Hugging Face folders as transformers 4 wrote and 5 writes them."""
    from safetensors.torch import save_file
    from transformers import SegformerConfig, SegformerModel

    torch.manual_seed(0)
    reference = SegformerModel(SegformerConfig()).eval()
    own = MiT("b0")
    state = {name.removeprefix("stages."): value for name, value in reference.state_dict().items()}
    if source == "original":
        state, unknown = to_published({f"backbone.{name}": value for name, value in reference.state_dict().items()})
        assert not unknown
        state = {name.removeprefix("backbone."): value for name, value in state.items()} | {"head.weight": torch.zeros(1000, 256)}
        torch.save(state, tmp_path / "mit_b0.pth")
        path = tmp_path / "mit_b0.pth"
    elif source == "v5":
        reference.save_pretrained(tmp_path / "folder")
        path = tmp_path / "folder"
    else:
        (tmp_path / "folder").mkdir()
        path = tmp_path / "folder"
        save_file(
            {f"segformer.{old_name(name)}": v.contiguous() for name, v in reference.state_dict().items()},
            path / "model.safetensors",
        )
    cfg, _ = daformer_b0(tmp_path)
    model = build_model(cfg)
    load_weights(model, str(path))
    for name, value in reference.state_dict().items():
        assert torch.equal(model.student.backbone.state_dict()[name], value), name
        assert torch.equal(model.feature_distance.backbone.state_dict()[name], value)
        assert torch.equal(model.teacher.model.backbone.state_dict()[name], value)
    assert set(own.state_dict()) == set(reference.state_dict())


def old_name(name):
    """transformers 4's name of a version 5 entry (its documented renames, backwards)."""
    name = re.sub(r"^stages\.(\d)\.patch_embeddings\.", r"encoder.patch_embeddings.\1.", name)
    name = re.sub(r"^stages\.(\d)\.blocks\.", r"encoder.block.\1.", name)
    name = re.sub(r"^stages\.(\d)\.layer_norm\.", r"encoder.layer_norm.\1.", name)
    for new, old in (
        ("attention.q_proj", "attention.self.query"),
        ("attention.k_proj", "attention.self.key"),
        ("attention.v_proj", "attention.self.value"),
        ("attention.sequence_reduction.sequence_reduction", "attention.self.sr"),
        ("attention.sequence_reduction.layer_norm", "attention.self.layer_norm"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc", "mlp.dense"),
        ("layernorm_before", "layer_norm_1"),
        ("layernorm_after", "layer_norm_2"),
    ):
        name = name.replace(new, old)
    return name


def test_resnet_v1c_loads_openmmlabs_file(tmp_path):
    torch.manual_seed(0)
    resnet = build_resnet_v1c(50)
    published, unknown = to_published({f"backbone.{name}": value for name, value in resnet.state_dict().items()})
    published = {name.removeprefix("backbone."): value for name, value in published.items()}
    assert not unknown
    shapes = {name: tuple(value.shape) for name, value in published.items()}
    assert (shapes["stem.0.weight"], shapes["stem.3.weight"], shapes["stem.6.weight"]) == (
        (32, 3, 3, 3),
        (32, 32, 3, 3),
        (64, 32, 3, 3),
    )
    assert shapes["layer4.0.downsample.0.weight"] == (2048, 1024, 1, 1) and shapes["layer1.2.bn3.running_var"] == (256,)
    found = encoder_weights({**published, "fc.weight": torch.zeros(1000, 2048)})
    assert set(found) == set(resnet.state_dict()) and torch.equal(found["stem.conv2.norm.bias"], published["stem.4.bias"])
    with pytest.raises(UserError, match="'layer1.0.strange.weight' has no counterpart"):
        encoder_weights({**published, "layer1.0.strange.weight": torch.zeros(1)})


def test_an_encoder_of_another_size_and_a_missing_one_are_explained(tmp_path):
    cfg, _ = daformer_b0(tmp_path)
    torch.save(fill(mit_shapes("b1")), tmp_path / "mit_b1.pth")
    with pytest.raises(UserError, match=r"does not fit the backbone MiT.*Set MODEL\.MIT\.VARIANT"):
        load_weights(build_model(cfg), str(tmp_path / "mit_b1.pth"))
    with pytest.raises(UserError, match=r"mit_b5\.pth does not exist.*pretrained_models"):
        load_weights(build_model(cfg), "pretrained/mit_b5.pth")


@pytest.mark.parametrize("width", [64, 256, 768])
def test_segformer_is_told_by_its_entries_at_any_width(width):
    cfg = load_config(
        "gta2cs_seg_daformer",
        ("MODEL.SEM_SEG_HEAD.NAME", "SegFormerHead", "MODEL.SEM_SEG_HEAD.CONVS_DIM", width),
    )
    with torch.device("meta"):
        own = META_ARCH_REGISTRY.get("EncoderDecoder")(cfg).state_dict()
        wide = META_ARCH_REGISTRY.get("EncoderDecoder")(
            load_config("gta2cs_seg_daformer", ("MODEL.SEM_SEG_HEAD.CONVS_DIM", 768))
        ).state_dict()
    assert "decode_head.linear_fuse.conv.weight" in to_published(own)[0]
    assert "decode_head.fuse_layer.bottleneck.conv.weight" in to_published(wide)[0]


def lcmsm(width=16, classes=19, text=1024):
    """One network of LC-MSM in the published names: two decoders, the filter of the score maps, the shared projection."""
    channels = VARIANTS["b0"][0]
    shapes = {f"backbone.{name}": shape for name, shape in mit_shapes("b0").items()}
    shapes |= daformer_shapes("decode_head.", channels, classes, width)
    shapes |= daformer_shapes("vlc_head.", channels, classes, width)
    shapes["vlc_head.conv_seg.weight"] = (classes, width + classes, 1, 1)
    spatial = "vlc_head.spatial_block.depthwise.depthwise"
    shapes |= {f"{spatial}.weight": (1, 1, 3, 3), f"{spatial}.bias": (1,)}
    projection = {"text_embed_net.weight": (width, text), "text_embed_net.bias": (width,)}
    return fill(shapes), fill(projection)


def test_lcmsm_goes_there_and_back(tmp_path, tiny_seg_cfg):
    student, projection = lcmsm()
    networks = {"model.": student, "ema_model.": {name: value + 1 for name, value in student.items()}}
    state = {f"{prefix}{name}": value for prefix, own in networks.items() for name, value in own.items()}
    tower = {"clip_model.positional_embedding": torch.zeros(2)}
    torch.save({"state_dict": {**state, **projection, **tower}}, tmp_path / "published.pth")
    converted = conversion.mic_checkpoint(tmp_path / "published.pth")
    for network, offset in (("student", 0), ("teacher.model", 1)):
        head = f"{network}.language_head"
        assert torch.equal(converted[f"{head}.text.projection.weight"], projection["text_embed_net.weight"])
        filter_ = student["vlc_head.spatial_block.depthwise.depthwise.weight"] + offset
        assert torch.equal(converted[f"{head}.spatial.conv.weight"], filter_)
        assert torch.equal(converted[f"{head}.decoder.classifier.bias"], student["vlc_head.conv_seg.bias"] + offset)
    cfg = load_config(
        "gta2cs_seg_lcmsm",
        ["MODEL.DEVICE", "cpu", "MODEL.MIT.VARIANT", "b0", "MODEL.SEM_SEG_HEAD.CONVS_DIM", 16, "MODEL.WEIGHTS", ""]
        + ["MODEL.LANGUAGE_HEAD.TEXT_BANK", "random", "MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 0.0],
    )
    conversion.check_fit(cfg, converted)
    torch.save({"model": converted}, tmp_path / "mic.pth")
    model = build_model(cfg)
    bank = model.student.language_head.text.bank.clone()
    load_weights(model, str(tmp_path / "mic.pth"), complete=True)
    assert torch.equal(model.student.language_head.text.bank, bank)
    torch.save({"model": model.state_dict()}, tmp_path / "with_bank.pth")
    back = conversion.published_checkpoint(tmp_path / "with_bank.pth", "student")
    expected = {**{f"model.{name}": value for name, value in student.items()}, **projection}
    assert back.keys() == expected.keys() and all(torch.equal(back[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    "entry", ["discriminator.0.weight", "mic.teacher.ema_model.backbone.norm1.weight", "model.strange.weight"]
)
def test_entries_without_a_counterpart_are_refused(tmp_path, entry, caplog):
    state = {"model.decode_head.conv_seg.weight": torch.zeros(1), "model.decode_head.embed_layers.0.proj.weight": torch.zeros(1)}
    torch.save({"state_dict": {**state, entry: torch.zeros(1)}}, tmp_path / "published.pth")
    with pytest.raises(UserError, match="1 entries of .* have no counterpart"):
        conversion.mic_checkpoint(tmp_path / "published.pth")
    assert entry.removeprefix("model.") in caplog.text


def test_a_decoder_of_ours_without_text_is_not_dropped_on_the_way_back(tmp_path):
    state = {
        "student.sem_seg_head.embeddings.0.proj.weight": torch.zeros(1),
        "student.language_head.classifier.weight": torch.zeros(1),
    }
    torch.save(
        {"model": {**state, **{name.replace("student", "teacher.model"): v for name, v in state.items()}}}, tmp_path / "mic.pth"
    )
    with pytest.raises(UserError, match="1 entries of .* have no counterpart"):
        conversion.published_checkpoint(tmp_path / "mic.pth", "student")
