"""Names and layout of the published MIC and SADA checkpoints (maskrcnn-benchmark, ResNet-FPN) against detectron2's.

They differ in names, in the class order (background first there, last here), in that its frozen batch normalisation has no
epsilon, and in the coordinates of the anchors, which the file brings along (see `modeling.legacy_boxes`).
"""

import torch

from mic_det.checkpoint.names import StateDict, rename
from mic_det.errors import UserError

MODEL_PREFIXES = ("module.", "ema_model.")
EPSILON = 1e-5  # of detectron2's FrozenBatchNorm2d
PYRAMID_LEVELS, ROI_LEVELS = 5, 4
DEEPEST_STAGE = 23  # blocks: res4 of ResNet-101
CLASSES = "roi_heads.box_predictor.cls_score."
BOXES = "roi_heads.box_predictor.bbox_pred."
ANCHORS = "proposal_generator.anchor_generator.cell_anchors."
FINEST_STRIDE = 4


def module_names() -> dict[str, str]:
    """{module name there: module name here} for every layer with weights."""
    names = {
        "backbone.body.stem.conv1": "backbone.bottom_up.stem.conv1",
        "backbone.body.stem.bn1": "backbone.bottom_up.stem.conv1.norm",
    }
    for stage in range(1, 5):
        names[f"backbone.fpn.fpn_inner{stage}"] = f"backbone.fpn_lateral{stage + 1}"
        names[f"backbone.fpn.fpn_layer{stage}"] = f"backbone.fpn_output{stage + 1}"
        for block in range(DEEPEST_STAGE):
            there, here = f"backbone.body.layer{stage}.{block}", f"backbone.bottom_up.res{stage + 1}.{block}"
            names |= {f"{there}.downsample.0": f"{here}.shortcut", f"{there}.downsample.1": f"{here}.shortcut.norm"}
            for layer in (1, 2, 3):
                names |= {f"{there}.conv{layer}": f"{here}.conv{layer}", f"{there}.bn{layer}": f"{here}.conv{layer}.norm"}
    names |= {
        "rpn.anchor_generator.cell_anchors": ANCHORS[:-1],
        "rpn.head.conv": "proposal_generator.rpn_head.conv",
        "rpn.head.cls_logits": "proposal_generator.rpn_head.objectness_logits",
        "rpn.head.bbox_pred": "proposal_generator.rpn_head.anchor_deltas",
        "roi_heads.box.feature_extractor.fc6": "roi_heads.box_head.fc1",
        "roi_heads.box.feature_extractor.fc7": "roi_heads.box_head.fc2",
        "roi_heads.box.predictor.cls_score": CLASSES[:-1],
        "roi_heads.box.predictor.bbox_pred": BOXES[:-1],
    }
    for level in range(PYRAMID_LEVELS):
        for layer, index in ((1, 0), (2, 2)):
            there = f"da_heads.imghead.da_img_conv{layer}_level{level}"
            names[there] = f"alignment.image_classifiers.levels.{level}.{index}"
    for level in range(ROI_LEVELS):
        for layer, index in ((1, 0), (2, 3), (3, 6)):
            there = f"da_heads.inshead.da_ins_fc{layer}_level{level}"
            names[there] = f"alignment.instance_classifiers.levels.{level}.{index}"
    return names


def anchor_shift(name: str) -> torch.Tensor:
    """From the last pixels of anchors of the first cell to the ends of anchors about (0, 0), for a level's table."""
    half = FINEST_STRIDE * 2 ** int(name.removeprefix(ANCHORS)) / 2
    return torch.tensor([-half, -half, 1 - half, 1 - half])


def is_published(state: StateDict) -> bool:
    """Torchvision's detectors have a `backbone.body` too, but without `stem`."""
    return any("backbone.body." in name for name in state) and not any("backbone.body.conv1." in name for name in state)


def from_published(state: StateDict) -> tuple[StateDict, list[str]]:
    """A published state dict -> (plain detectron2 state dict plus `alignment.*`, unknown names)."""
    for prefix in MODEL_PREFIXES:
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    state, unknown = rename(state, module_names())
    for name, value in state.items():
        if name.startswith(CLASSES):
            state[name] = torch.cat([value[1:], value[:1]])
        elif name.startswith(BOXES):
            state[name] = value[4:].clone()  # detectron2 has no box for the background
        elif name.startswith(ANCHORS):
            state[name] = value + anchor_shift(name)
        elif name.endswith(".norm.running_var"):
            state[name] = value - EPSILON
    return state, unknown


def to_published(state: StateDict) -> tuple[StateDict, list[str]]:
    """A plain detectron2 state dict (and `alignment.*`) -> (published naming, unknown names).

    Raises:
        UserError: when the box head regresses one box for all classes, which that code cannot read.
    """
    classes, boxes = state.get(f"{CLASSES}bias"), state.get(f"{BOXES}bias")
    if classes is not None and boxes is not None and len(boxes) != 4 * (len(classes) - 1):
        raise UserError("Only class-specific box regression can be converted to the published layout.")
    state = dict(state)
    for name, value in state.items():
        if name.startswith(CLASSES):
            state[name] = torch.cat([value[-1:], value[:-1]])
        elif name.startswith(BOXES):
            state[name] = torch.cat([torch.zeros_like(value[:4]), value])
        elif name.startswith(ANCHORS):
            state[name] = value - anchor_shift(name)
        elif name.endswith(".norm.running_var"):
            state[name] = value + EPSILON
    return rename(state, {here: there for there, here in module_names().items()})
