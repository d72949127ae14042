"""Names of the published MIC, HRDA and DAFormer segmentation checkpoints (mmsegmentation) against ours.

Every tensor of a network has a counterpart, but for the classifier that mmsegmentation's SegFormer head creates and never uses,
and LC-MSM's text encoder, of which only the class embeddings are used: the config's text bank.
"""

import logging
import re
from collections.abc import Collection

from mic_det.checkpoint.encoders import join_key_values, mit_names, resnet_names, split_key_values
from mic_det.checkpoint.names import StateDict, part, rename

HEADS = {
    "decode_head.head.": "sem_seg_head.",
    "decode_head.scale_attention.": "scale_attention.",
    "decode_head.": "sem_seg_head.",
    "vlc_head.": "language_head.decoder.",
}
# LC-MSM: the filter of the score maps, a part of its decoder, and the text projection, which student and teacher share.
SPATIAL = {"vlc_head.spatial_block.depthwise.depthwise": "language_head.spatial.conv"}
PROJECTION = {"text_embed_net": "language_head.text.projection"}
TEXT_ENCODER, BANK = "clip_model.", "language_head.text.bank"
# Of a training checkpoint; a published one has only the first.
NETWORKS = {"student": "model.", "teacher": "ema_model.", "feature_distance": "imnet_model."}
BRANCHES, LEVELS = 5, 4
logger = logging.getLogger(__name__)


def conv(there: str, here: str) -> dict[str, str]:
    """A convolution with its normalisation."""
    return {f"{there}.conv": here, f"{there}.bn": f"{here}.norm"}


def separable(there: str, here: str) -> dict[str, str]:
    """A depthwise convolution and the pointwise one that follows it."""
    return {**conv(f"{there}.depthwise_conv", f"{here}.depthwise"), **conv(f"{there}.pointwise_conv", f"{here}.pointwise")}


def aspp(there: str, here: str) -> dict[str, str]:
    """Plain and separable branches, and the convolution that joins them."""
    names = conv(f"{there}bottleneck", f"{here}.bottleneck")
    for branch in range(BRANCHES):
        names |= conv(f"{there}aspp_modules.{branch}", f"{here}.branches.{branch}")
        names |= separable(f"{there}aspp_modules.{branch}", f"{here}.branches.{branch}")
    return names


def daformer_names() -> dict[str, str]:
    """{module there: module here} of DAFormer's decoder."""
    names = {f"embed_layers.{level}.proj": f"embeddings.{level}.proj" for level in range(LEVELS)}
    return {**names, **aspp("fuse_layer.", "fuse"), **conv("fuse_layer", "fuse"), "conv_seg": "classifier"}


def segformer_names() -> dict[str, str]:
    """{module there: module here} of SegFormer's decoder."""
    names = {f"linear_c.{level}.proj": f"embeddings.{level}.proj" for level in range(LEVELS)}
    return {**names, **conv("linear_fuse", "fuse"), "linear_pred": "classifier"}


def deeplabv2_names() -> dict[str, str]:
    """{module there: module here} of DeepLabV2's decoder."""
    return {f"aspp_modules.{branch}.conv": f"branches.{branch}" for branch in range(BRANCHES)}


def deeplabv3plus_names() -> dict[str, str]:
    """{module there: module here} of DeepLabV3+'s decoder."""
    refine = {**separable("sep_bottleneck.0", "refine.0"), **separable("sep_bottleneck.1", "refine.1")}
    pool, low_level = conv("image_pool.1", "aspp.image_pool"), conv("c1_bottleneck", "low_level")
    return {**aspp("", "aspp"), **pool, **low_level, **refine, "conv_seg": "classifier"}


def published_head(names: Collection[str]) -> dict[str, str]:
    """Names of the published decoder that has such entries."""
    if any(name.startswith("linear_c.") for name in names):
        return segformer_names()
    if any(name.startswith("sep_bottleneck.") for name in names):
        return deeplabv3plus_names()
    return daformer_names() if any(name.startswith("embed_layers.") for name in names) else deeplabv2_names()


def own_head(state: StateDict, head: str | None = None) -> dict[str, str]:
    """The same for a head's state dict in our names.

    SegFormer's decoder and DAFormer's without context ("conv1") have the same entries: `head`, its registered name, decides,
    and SegFormer's is taken where it is not known.
    """
    if any(name.startswith("refine.") for name in state):
        return deeplabv3plus_names()
    if not any(name.startswith("embeddings.") for name in state):
        return deeplabv2_names()
    has_context = any(name.startswith("fuse.branches.") for name in state)
    return daformer_names() if has_context or head == "DAFormerHead" else segformer_names()


def is_published_segmentation(state: StateDict) -> bool:
    """Whether a state dict is a segmentation network in the published naming, or a training run's checkpoint."""
    return any(re.match(r"(module\.)?(model\.)?decode_head\.", name) for name in state)


def networks_of(state: StateDict) -> tuple[dict[str, StateDict], list[str]]:
    """({"student": state dict, and, in a training checkpoint, "teacher" and "feature_distance"}, names of all other entries).

    The state dicts are in the published naming; LC-MSM's text projection, which lies outside, belongs to student and teacher.
    """
    state = {name.removeprefix("module."): value for name, value in state.items()}
    text_encoder = [name for name in state if name.startswith(TEXT_ENCODER)]
    if text_encoder:
        logger.info("Left out %d entries of the text encoder: MODEL.LANGUAGE_HEAD.TEXT_BANK has what is used.", len(text_encoder))
    state = {name: value for name, value in state.items() if not name.startswith(TEXT_ENCODER)}
    projection = {name: value for name, value in state.items() if name.rpartition(".")[0] in PROJECTION}
    found = {network: part(state, prefix) for network, prefix in NETWORKS.items()}
    if not found["student"]:
        return {"student": state}, []  # without the wrapper
    others = [name for name in state if not name.startswith(tuple(NETWORKS.values())) and name not in projection]
    for network in ("student", "teacher"):
        if found[network]:
            found[network] |= projection
    return {network: own for network, own in found.items() if own}, others


def from_published(state: StateDict) -> tuple[StateDict, list[str]]:
    """One network in the published naming -> (our state dict, unknown names)."""
    renamed, unknown = rename(part(state, "backbone."), {**mit_names(), **resnet_names()})
    converted = {f"backbone.{name}": value for name, value in split_key_values(renamed).items()}
    unknown, taken = [f"backbone.{name}" for name in unknown], {f"backbone.{name}" for name in part(state, "backbone.")}
    language = {name: value for name, value in state.items() if name.rpartition(".")[0] in {**SPATIAL, **PROJECTION}}
    converted |= rename(language, {**SPATIAL, **PROJECTION})[0]
    taken |= set(language)
    for there, here in HEADS.items():
        own = {name.removeprefix(there): value for name, value in state.items() if name.startswith(there) and name not in taken}
        if not own:
            continue
        taken |= {f"{there}{name}" for name in own}
        renamed, strange = rename(own, published_head(own))
        converted |= {f"{here}{name}": value for name, value in renamed.items()}
        is_segformer = any(name.startswith("linear_pred.") for name in own)
        unknown += [f"{there}{name}" for name in strange if not (is_segformer and name.startswith("conv_seg."))]
    return converted, unknown + sorted(set(state) - taken)


def to_published(state: StateDict, head: str | None = None) -> tuple[StateDict, list[str]]:
    """Our state dict of one network -> (published naming, unknown names); a text bank is left out.

    Args:
        head: as in `own_head`.
    """
    encoder = {here: there for there, here in {**mit_names(), **resnet_names()}.items()}
    renamed, unknown = rename(join_key_values(part(state, "backbone.")), encoder)
    converted = {f"backbone.{name}": value for name, value in renamed.items()}
    unknown = [f"backbone.{name}" for name in unknown]
    multi_resolution = any(name.startswith("scale_attention.") for name in state)
    heads = {here: there for there, here in HEADS.items()}
    heads["sem_seg_head."] = "decode_head.head." if multi_resolution else "decode_head."
    if own_head(part(state, "sem_seg_head."), head) == daformer_names():
        head = "DAFormerHead"  # and its scale attention, which has no context
    for here, there in heads.items():
        own = part(state, here)
        renamed, strange = rename(own, {ours: theirs for theirs, ours in own_head(own, head).items()})
        converted |= {f"{there}{name}": value for name, value in renamed.items()}
        unknown += [f"{here}{name}" for name in strange]
    language = {here: there for there, here in {**SPATIAL, **PROJECTION}.items()}
    converted |= rename(state, language)[0]
    known = (*heads, "backbone.", BANK, *(f"{module}." for module in language))
    return converted, unknown + [name for name in state if not name.startswith(known)]
