"""Torchvision's and timm's ResNets, and torchvision's Faster and Mask R-CNN, in detectron2's names.

They differ from detectron2 in names, in the class order (background first there, last here), and in COCO's 91 numbers with
gaps for its 80 classes. What a file cannot say is in the config: `disagreements` compares it.
"""

import re

import torch
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from detectron2.layers import ROIAlign

from mic_det.checkpoint.names import StateDict, rename

MAX_BLOCKS = 50  # in a stage; ResNet-200 has 36
MASK_LAYERS = 8
RGB_MEAN, RGB_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
COCO_NUMBERS = 91  # of torchvision's COCO detectors, with the background as 0
COCO_THINGS = [category["id"] for category in COCO_CATEGORIES if category["isthing"]]
CLASSES, BOXES = "roi_heads.box_predictor.cls_score.", "roi_heads.box_predictor.bbox_pred."
MASKS = "roi_heads.mask_head.predictor."
CLASSIFIER = ("fc.",)


def resnet_names(there: str, here: str) -> dict[str, str]:
    """{module there: module here} of a ResNet whose names begin with `there` and `here`."""
    names = {f"{there}conv1": f"{here}stem.conv1", f"{there}bn1": f"{here}stem.conv1.norm"}
    for stage in range(1, 5):
        for block in range(MAX_BLOCKS):
            old, new = f"{there}layer{stage}.{block}", f"{here}res{stage + 1}.{block}"
            names |= {f"{old}.downsample.0": f"{new}.shortcut", f"{old}.downsample.1": f"{new}.shortcut.norm"}
            for layer in (1, 2, 3):
                names |= {f"{old}.conv{layer}": f"{new}.conv{layer}", f"{old}.bn{layer}": f"{new}.conv{layer}.norm"}
    return names


def detector_names() -> dict[str, str]:
    """{module there: module here} of Faster and Mask R-CNN, with the names of torchvision before 0.13 and since."""
    names = resnet_names("backbone.body.", "backbone.bottom_up.")
    for level in range(4):
        for end in ("", ".0"):
            names[f"backbone.fpn.inner_blocks.{level}{end}"] = f"backbone.fpn_lateral{level + 2}"
            names[f"backbone.fpn.layer_blocks.{level}{end}"] = f"backbone.fpn_output{level + 2}"
    for end in ("", ".0.0"):
        names[f"rpn.head.conv{end}"] = "proposal_generator.rpn_head.conv"
    for layer in range(MASK_LAYERS):
        here = f"roi_heads.mask_head.mask_fcn{layer + 1}"
        names |= {f"roi_heads.mask_head.{layer}.0": here, f"roi_heads.mask_head.mask_fcn{layer + 1}": here}
    return {
        **names,
        "rpn.head.cls_logits": "proposal_generator.rpn_head.objectness_logits",
        "rpn.head.bbox_pred": "proposal_generator.rpn_head.anchor_deltas",
        "roi_heads.box_head.fc6": "roi_heads.box_head.fc1",
        "roi_heads.box_head.fc7": "roi_heads.box_head.fc2",
        "roi_heads.box_predictor.cls_score": CLASSES[:-1],
        "roi_heads.box_predictor.bbox_pred": BOXES[:-1],
        "roi_heads.mask_predictor.conv5_mask": "roi_heads.mask_head.deconv",
        "roi_heads.mask_predictor.mask_fcn_logits": MASKS[:-1],
    }


def is_resnet(state: StateDict) -> bool:
    """Whether a state dict is a ResNet of torchvision or timm, deep stems included."""
    return "layer1.0.conv1.weight" in state and any(name.startswith(("conv1.", "bn1.")) for name in state)


def is_detector(state: StateDict) -> bool:
    """Whether a state dict is torchvision's Faster or Mask R-CNN."""
    return any(name.startswith("backbone.body.conv1.") for name in state)


def from_resnet(state: StateDict) -> tuple[StateDict, list[str]]:
    """A ResNet -> (state dict of detectron2's ResNet, names without counterpart); its ImageNet classifier keeps its name."""
    head = {name: value for name, value in state.items() if name.startswith(CLASSIFIER)}
    renamed, unknown = rename({name: value for name, value in state.items() if name not in head}, resnet_names("", ""))
    return {**without_counters(renamed), **head}, unknown


def from_detector(state: StateDict) -> tuple[StateDict, list[str]]:
    """A Faster or Mask R-CNN -> (plain detectron2 state dict, names without counterpart); COCO's 91 numbers become 80 classes."""
    renamed, unknown = rename(state, detector_names())
    bias = renamed.get(f"{CLASSES}bias")
    classes = list(range(1, len(bias))) if bias is not None else []
    if len(classes) == COCO_NUMBERS - 1:
        classes = COCO_THINGS
    for name, value in renamed.items():
        if name.startswith(CLASSES):
            renamed[name] = value[[*classes, 0]]
        elif name.startswith(BOXES):
            renamed[name] = value.unflatten(0, (-1, 4))[classes].flatten(0, 1)  # detectron2 has no box for the background
        elif name.startswith(MASKS):
            renamed[name] = value[classes]
    return without_counters(renamed), unknown


def without_counters(state: StateDict) -> StateDict:
    """Frozen batch normalisation counts no batches."""
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def disagreements(student: torch.nn.Module, detector: bool = False) -> list[str]:
    """`KEY value` of each setting that these weights need and a built network has not.

    Args:
        student: a plain network with detectron2's ResNet.
        detector: whether the weights are those of torchvision's detector, whose RoI pooling counts too.
    """
    wrong = []
    if getattr(student, "input_format", None) == "BGR":
        wrong.append("INPUT.FORMAT RGB")
    for key, buffer, right in (("PIXEL_MEAN", "pixel_mean", RGB_MEAN), ("PIXEL_STD", "pixel_std", RGB_STD)):
        own = getattr(student, buffer, None)
        if own is not None and not torch.allclose(own.flatten().cpu().float(), torch.tensor(right), atol=0.5):
            wrong.append(f"MODEL.{key} {list(right)}")
    strides = {m.stride for name, m in student.named_modules() if re.search(r"(res[2-5])\.0\.conv1$", name)}
    bottleneck = any(re.search(r"res2\.0\.conv3$", name) for name, _ in student.named_modules())
    if bottleneck and (2, 2) in strides:
        wrong.append("MODEL.RESNETS.STRIDE_IN_1X1 False")
    poolers = [module for module in student.modules() if isinstance(module, ROIAlign)] if detector else []
    if any(pooler.aligned for pooler in poolers):
        wrong.append("MODEL.ROI_BOX_HEAD.POOLER_TYPE ROIAlign")
    if any(pooler.sampling_ratio != 2 for pooler in poolers):
        wrong.append("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO 2")
    return wrong
