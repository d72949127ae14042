"""Box arithmetic of the published detectors (maskrcnn-benchmark), in detectron2's coordinates.

There, x2 and y2 are the last pixels inside a box: [x1, y1, x2, y2] is x2 - x1 + 1 wide. Here the same box is
[x1, y1, x2 + 1, y2 + 1]. Once written so, widths, areas, IoU, NMS, box regression, flips and the choice of an RoI's level are
the same sums in both. What remains different, and MODEL.MIC.REFERENCE.LEGACY_BOXES brings in:

* anchors are rounded at each level's stride and enlarged from there;
* a box ends on the last pixel when it is pooled, clipped to the image, or scaled to the image's own size;
* an anchor that touches the image's right or lower border lies inside the image.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ROIAlign, ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, PROPOSAL_GENERATOR_REGISTRY, ROI_HEADS_REGISTRY, GeneralizedRCNN
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY, BufferList, DefaultAnchorGenerator
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.modeling.roi_heads import FastRCNNOutputLayers, StandardROIHeads
from detectron2.structures import Boxes, Instances
from torch import nn

from mic_det.config import value_of
from mic_det.errors import UserError

# key -> (what it must be, what takes its place)
PARTS = {
    "MODEL.MIC.STUDENT": ("GeneralizedRCNN", "LegacyRCNN"),
    "MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator", "RoundedAnchorGenerator"),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN", "LegacyRPN"),
    "MODEL.ROI_HEADS.NAME": ("StandardROIHeads", "LegacyROIHeads"),
    "MODEL.MASK_ON": (False, False),
    "MODEL.KEYPOINT_ON": (False, False),
}


def legacy_config(cfg: CfgNode) -> CfgNode:
    """A copy of the config whose student has the parts of this module.

    Raises:
        UserError: naming the key, when the configured student has other parts than the published Faster R-CNN.
    """
    cfg = cfg.clone()
    cfg.defrost()
    for key, (plain, legacy) in PARTS.items():
        if value_of(cfg, key) not in (plain, legacy):
            raise UserError(
                f"MODEL.MIC.REFERENCE.LEGACY_BOXES is for the published Faster R-CNN: it needs {key} {plain}, got "
                f"{value_of(cfg, key)}. Turn it off for this student."
            )
        path, _, leaf = key.rpartition(".")
        value_of(cfg, path)[leaf] = legacy
    cfg.MODEL.ROI_BOX_HEAD.POOLER_TYPE = "ROIAlign"
    return cfg


class AnchorTables(BufferList):
    """Cell anchors that are part of the state dict: a published checkpoint brings its own."""

    def __init__(self, tables: Iterable[torch.Tensor]) -> None:
        """
        Args:
            tables: Ax4 boxes about (0, 0), one per level.
        """
        nn.Module.__init__(self)
        for level, table in enumerate(tables):
            self.register_buffer(str(level), table)


@ANCHOR_GENERATOR_REGISTRY.register()
class RoundedAnchorGenerator(DefaultAnchorGenerator):
    """Anchors as in the first Faster R-CNN code: the shape is rounded to whole pixels at the stride, then enlarged to the size.

    For stride s, aspect ratio a = h / w and size d, the shape at the stride is w = round(s / sqrt(a)), h = round(a w), halves
    to even, and the anchor is d / s times as large. Anchors are centred in their cells; OFFSET is not read.
    """

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: list[ShapeSpec]) -> dict[str, Any]:
        return {**super().from_config(cfg, input_shape), "offset": 0.5}

    def _calculate_anchors(self, sizes: Sequence[Sequence[float]], aspect_ratios: Sequence[Sequence[float]]) -> AnchorTables:
        levels = zip(self.strides, sizes, aspect_ratios, strict=True)
        return AnchorTables([rounded_anchors(*level) for level in levels])


def rounded_anchors(stride: int, sizes: Sequence[float], aspect_ratios: Sequence[float]) -> torch.Tensor:
    """Ax4 float boxes about (0, 0) of one level, in the published order: all sizes of the first ratio, then the next ratio."""
    boxes = []
    for ratio in aspect_ratios:
        width = round((stride**2 / ratio) ** 0.5)
        shape = torch.tensor([width, round(width * ratio)], dtype=torch.float32)
        boxes += [torch.cat([-shape, shape]) * size / stride / 2 for size in sizes]
    return torch.stack(boxes)


def keep_a_pixel(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Boxes ...x4 moved so that detectron2's clipping to an image of `size` (height, width) leaves at least the last pixel."""
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    return torch.stack([x1.clamp(max=width - 1), y1.clamp(max=height - 1), x2.clamp(min=1), y2.clamp(min=1)], dim=-1)


@PROPOSAL_GENERATOR_REGISTRY.register()
class LegacyRPN(RPN):
    """RPN that keeps what lies outside the image as a strip of pixels at its border, and lets anchors touch the border."""

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts = super().from_config(cfg, input_shape)
        if parts["anchor_boundary_thresh"] >= 0:
            # In whole coordinates, x2 - 1 < width + threshold as published, where detectron2 has x2 < width + threshold.
            parts["anchor_boundary_thresh"] += 0.5
        return parts

    @torch.no_grad()
    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[torch.Tensor],
        pred_anchor_deltas: list[torch.Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Proposals of every image; arguments as in detectron2's RPN."""
        proposals = [
            torch.stack([keep_a_pixel(boxes, size) for boxes, size in zip(level, image_sizes, strict=True)])
            for level in self._decode_proposals(anchors, pred_anchor_deltas)
        ]
        return find_top_rpn_proposals(
            *(proposals, pred_objectness_logits, image_sizes, self.nms_thresh),
            *(self.pre_nms_topk[self.training], self.post_nms_topk[self.training], self.min_box_size, self.training),
        )


class LegacyROIAlign(ROIAlign):
    """ROIAlign up to the last pixel inside a box."""

    def forward(self, input: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        """Maps NxCxHxW and R x (image, x1, y1, x2, y2) -> RxCxhxw."""
        return super().forward(input, torch.cat([rois[:, :3], rois[:, 3:] - 1], dim=1))


def pool_to_last_pixel(pooler: ROIPooler) -> None:
    """Make a ROIPooler of type ROIAlign pool as the published code does, in place. Levels are still chosen by area."""
    pooler.level_poolers = nn.ModuleList(
        LegacyROIAlign(level.output_size, level.spatial_scale, level.sampling_ratio, level.aligned)
        for level in pooler.level_poolers
    )


class LegacyOutputLayers(FastRCNNOutputLayers):
    """Box predictor whose detections outside the image are a strip of pixels at its border."""

    def predict_boxes(self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]) -> list[torch.Tensor]:
        """Boxes R x 4K of every image, K the number of classes that have boxes of their own."""
        boxes = super().predict_boxes(predictions, proposals)
        return [
            keep_a_pixel(own.unflatten(1, (-1, 4)), sample.image_size).flatten(1)
            for own, sample in zip(boxes, proposals, strict=True)
        ]


@ROI_HEADS_REGISTRY.register()
class LegacyROIHeads(StandardROIHeads):
    """StandardROIHeads with the published pooling and clipping."""

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts = super()._init_box_head(cfg, input_shape)
        pool_to_last_pixel(parts["box_pooler"])
        return {**parts, "box_predictor": LegacyOutputLayers(cfg, parts["box_head"].output_shape)}


@META_ARCH_REGISTRY.register()
class LegacyRCNN(GeneralizedRCNN):
    """GeneralizedRCNN that scales the last pixels of its detections, not their ends, to an image's own size."""

    def inference(
        self, batched_inputs: list[dict], detected_instances: list[Instances] | None = None, do_postprocess: bool = True
    ) -> list:
        """As detectron2's: {"instances": Instances} per image, or the Instances alone without `do_postprocess`."""
        results = super().inference(batched_inputs, detected_instances, do_postprocess)
        if do_postprocess:
            for sample, result in zip(batched_inputs, results, strict=True):
                found = result["instances"]
                scales = [own / seen for own, seen in zip(found.image_size, sample["image"].shape[-2:], strict=True)]
                for column, scale in zip((3, 2), scales, strict=True):
                    found.pred_boxes.tensor[:, column] += 1 - scale
        return results
