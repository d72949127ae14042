"""Names of ImageNet encoders for segmentation and classification, in the files that are public, against ours.

MiT comes as SegFormer's own `mit_b*.pth` or as a Hugging Face folder or file (names of transformers 4 and 5); ResNet-v1c as
OpenMMLab's `resnet*_v1c-*.pth`.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch

from mic_det.checkpoint.names import StateDict, rename
from mic_det.errors import UserError

MAX_BLOCKS = 40  # in a stage of MiT-B5
KEY_VALUE = ".attention.kv."
# Hugging Face's names before transformers 5, in order.
VERSION_4 = (
    (r"^encoder\.patch_embeddings\.(\d+)\.", r"stages.\1.patch_embeddings."),
    (r"^encoder\.block\.(\d+)\.", r"stages.\1.blocks."),
    (r"^encoder\.layer_norm\.(\d+)\.", r"stages.\1.layer_norm."),
    (r"attention\.self\.query", "attention.q_proj"),
    (r"attention\.self\.key", "attention.k_proj"),
    (r"attention\.self\.value", "attention.v_proj"),
    (r"attention\.self\.sr", "attention.sequence_reduction.sequence_reduction"),
    (r"attention\.self\.layer_norm", "attention.sequence_reduction.layer_norm"),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"mlp\.dense(\d)", r"mlp.fc\1"),
    (r"layer_norm_1", "layernorm_before"),
    (r"layer_norm_2", "layernorm_after"),
)


def mit_names() -> dict[str, str]:
    """{module there: module here} for SegFormer's own names; keys and values are one module there, here named `kv`."""
    names = {}
    for stage in range(4):
        here = f"stages.{stage}"
        names[f"patch_embed{stage + 1}.proj"] = f"{here}.patch_embeddings.proj"
        names[f"patch_embed{stage + 1}.norm"] = f"{here}.patch_embeddings.layer_norm"
        names[f"norm{stage + 1}"] = f"{here}.layer_norm"
        for block in range(MAX_BLOCKS):
            there, own = f"block{stage + 1}.{block}", f"{here}.blocks.{block}"
            names |= {
                f"{there}.norm1": f"{own}.layernorm_before",
                f"{there}.norm2": f"{own}.layernorm_after",
                f"{there}.attn.q": f"{own}.attention.q_proj",
                f"{there}.attn.kv": f"{own}.attention.kv",
                f"{there}.attn.proj": f"{own}.attention.o_proj",
                f"{there}.attn.sr": f"{own}.attention.sequence_reduction.sequence_reduction",
                f"{there}.attn.norm": f"{own}.attention.sequence_reduction.layer_norm",
                f"{there}.mlp.fc1": f"{own}.mlp.fc1",
                f"{there}.mlp.fc2": f"{own}.mlp.fc2",
                f"{there}.mlp.dwconv.dwconv": f"{own}.mlp.dwconv.dwconv",
            }
    return names


def resnet_names() -> dict[str, str]:
    """{module there: module here} for OpenMMLab's ResNet-v1c."""
    names: dict[str, str] = {}
    for index in range(3):
        names |= {f"stem.{3 * index}": f"stem.conv{index + 1}", f"stem.{3 * index + 1}": f"stem.conv{index + 1}.norm"}
    for stage in range(1, 5):
        for block in range(MAX_BLOCKS):
            there, here = f"layer{stage}.{block}", f"res{stage + 1}.{block}"
            names |= {f"{there}.downsample.0": f"{here}.shortcut", f"{there}.downsample.1": f"{here}.shortcut.norm"}
            for layer in (1, 2, 3):
                names |= {f"{there}.conv{layer}": f"{here}.conv{layer}", f"{there}.bn{layer}": f"{here}.conv{layer}.norm"}
    return names


def split_key_values(state: StateDict) -> StateDict:
    """Divide every joint key-value projection into its halves."""
    divided = {}
    for name, value in state.items():
        if KEY_VALUE in name:
            for part, half in zip((".attention.k_proj.", ".attention.v_proj."), value.chunk(2), strict=True):
                divided[name.replace(KEY_VALUE, part)] = half.clone()
        else:
            divided[name] = value
    return divided


def join_key_values(state: StateDict) -> StateDict:
    """Inverse of `split_key_values`."""
    joined = {}
    for name, value in state.items():
        if ".attention.k_proj." in name:
            value = torch.cat([value, state[name.replace("k_proj", "v_proj")]])
            joined[name.replace(".attention.k_proj.", KEY_VALUE)] = value
        elif ".attention.v_proj." not in name:
            joined[name] = value
    return joined


def is_public_encoder(state: Collection[str]) -> bool:
    """Whether a state dict is an encoder alone, in one of the public files' naming."""
    mit = re.compile(r"(segformer\.)?(encoder\.block\.|encoder\.patch_embeddings\.|stages\.0\.patch_embeddings\.)|patch_embed1\.")
    resnet_v1c = "stem.0.weight" in state and "layer1.0.conv1.weight" in state
    return resnet_v1c or any(mit.match(name) for name in state)


def encoder_weights(state: Mapping[str, Any]) -> StateDict:
    """A public encoder's state dict in our names, without its classifier.

    Raises:
        UserError: naming an entry that has no counterpart.
    """
    state = {name.removeprefix("segformer."): torch.as_tensor(value) for name, value in state.items()}
    state = {name: value for name, value in state.items() if not name.startswith(("head.", "classifier.", "fc.", "decode_head."))}
    if any(name.startswith(("encoder.", "stages.")) for name in state):
        renamed = {}
        for name, value in state.items():
            for pattern, replacement in VERSION_4:
                name = re.sub(pattern, replacement, name)
            renamed[name] = value
        return renamed
    renamed, unknown = rename(state, {**mit_names(), **resnet_names()})
    if unknown:
        raise UserError(f"MODEL.WEIGHTS: the encoder's entry '{unknown[0]}' has no counterpart in MiT or ResNet-v1c.")
    return split_key_values(renamed)
