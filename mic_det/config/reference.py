"""Switches for what the published code does although it looks unintended; each is off by default.

They reproduce published runs. A switch without effect on the configured method is named in a warning.
"""

from detectron2.config import CfgNode
from detectron2.config import CfgNode as CN


def add_reference_config(cfg: CfgNode) -> None:
    """Add MODEL.MIC.REFERENCE to a config that has MODEL.MIC, in place."""
    cfg.MODEL.MIC.REFERENCE = CN()
    add_detection_switches(cfg)
    add_segmentation_switches(cfg)
    # Classification: weight pseudo-labels in SAM's ascent only; in the descent all count fully.
    cfg.MODEL.MIC.REFERENCE.WEIGHT_IN_ASCENT_ONLY = False
    cfg.register_renamed_key("MODEL.MIC.REFERENCE.TEACHER_BATCH_STATISTICS", "MODEL.MIC.TEACHER.BATCH_STATISTICS")


def add_detection_switches(cfg: CfgNode) -> None:
    """Those of the detector, in place."""
    # Classify only RoIs of the finest level; the others have logit 0.
    cfg.MODEL.MIC.REFERENCE.INSTANCE_LEVEL_ZERO_ONLY = False
    # Anchors, pooling and clipping of boxes as in maskrcnn-benchmark, where a box ends on its last pixel.
    cfg.MODEL.MIC.REFERENCE.LEGACY_BOXES = False
    # Pad source and target to one size for alignment, and include the padding in its image-level loss.
    cfg.MODEL.MIC.REFERENCE.ALIGN_PADDING = False
    # With WEIGHT student_max: do not detach the weight of the objectness loss; below 1 / e its gradient has the wrong sign.
    cfg.MODEL.MIC.REFERENCE.RPN_WEIGHT_GRADIENT = False
    # RPN.POST_NMS_TOPK_TRAIN counts the proposals of source and target together instead of each image's.
    cfg.MODEL.MIC.REFERENCE.BATCH_PROPOSALS = False
    # Add a box around the whole image to the target's proposals.
    cfg.MODEL.MIC.REFERENCE.TARGET_IMAGE_BOX = False


def add_segmentation_switches(cfg: CfgNode) -> None:
    """Those of segmentation, of which the first two also serve the other tasks, in place."""
    # Colour jitter with the meaning of kornia 0.5.8: additive brightness, contrast about 0, twice the hue.
    cfg.MODEL.MIC.REFERENCE.KORNIA_JITTER = False
    # Jitter and blur are decided once for all images of a batch instead of image by image.
    cfg.MODEL.MIC.REFERENCE.BATCH_AUGMENTATION = False
    # Masked mixed images start from the augmented ones and are augmented once more.
    cfg.MODEL.MIC.REFERENCE.MASK_AUGMENTED_MIX = False
    # Ignored pixels count in the mean of the cross-entropy.
    cfg.MODEL.MIC.REFERENCE.MEAN_OVER_IGNORED = False
    # One pseudo-label quality per batch instead of per image.
    cfg.MODEL.MIC.REFERENCE.BATCH_QUALITY = False
    # ClassMix chooses from the classes of the whole batch, void among them.
    cfg.MODEL.MIC.REFERENCE.BATCH_CLASSES = False
    # LOSS_WEIGHT leaves out HRDA's detail loss.
    cfg.MODEL.MIC.REFERENCE.MASK_WEIGHT_WITHOUT_DETAIL = False
    # HRDA's detail crop never reaches the bottom and right border.
    cfg.MODEL.MIC.REFERENCE.HRDA_OFFSET_BELOW_LIMIT = False
    # HRDA's crop corners are multiples of 8 whatever the stride, which misaligns DeepLabV2 by a cell.
    cfg.MODEL.MIC.REFERENCE.HRDA_FIXED_DIVISOR = False
    # HRDA's loss on the context is taken after weighting by the attention.
    cfg.MODEL.MIC.REFERENCE.HRDA_ATTENDED_CONTEXT_LOSS = False
    # The main optimizer steps the discriminator too.
    cfg.MODEL.MIC.REFERENCE.DISCRIMINATOR_STEPPED_TWICE = False
