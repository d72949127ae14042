"""All configuration keys that mic-det adds to detectron2's, with their defaults."""

from pathlib import Path

from detectron2.config import CfgNode as CN
from detectron2.config import get_cfg

from mic_det.errors import UserError, did_you_mean


def add_mic_config(cfg):
    """Add mic-det's keys to a detectron2 config, in place. Defaults are the published detection settings."""
    cfg.MODEL.MIC = CN()
    # Registered meta-architecture that adapts: it becomes the student, its moving average the teacher.
    cfg.MODEL.MIC.STUDENT = "GeneralizedRCNN"
    # Which of the two predicts in evaluation mode: teacher or student.
    cfg.MODEL.MIC.INFERENCE = "teacher"
    # Iterations of source-only training (the teacher follows) before the target is used.
    cfg.MODEL.MIC.BURN_IN = 0
    # Factor on all masked-consistency losses; 0 turns masked consistency off.
    cfg.MODEL.MIC.LOSS_WEIGHT = 1.0

    cfg.MODEL.MIC.TEACHER = CN()
    # Share of the teacher that survives one update.
    cfg.MODEL.MIC.TEACHER.ALPHA = 0.9
    # Use min(1 - 1 / (t + 1), ALPHA) at iteration t.
    cfg.MODEL.MIC.TEACHER.RAMP = False

    cfg.MODEL.MIC.MASK = CN()
    # Side of a block in pixels of the network's input.
    cfg.MODEL.MIC.MASK.BLOCK_SIZE = 32
    # Probability that a block is removed; 0 gives a plain mean teacher.
    cfg.MODEL.MIC.MASK.RATIO = 0.5

    cfg.MODEL.MIC.AUGMENT = CN()
    # Strength of the masked view's colour jitter (brightness, contrast, saturation, hue); 0 is off.
    cfg.MODEL.MIC.AUGMENT.JITTER = 0.2
    # Probability of jitter per image and iteration.
    cfg.MODEL.MIC.AUGMENT.JITTER_PROB = 0.8
    # Probability of Gaussian blur per image and iteration; 0 is off.
    cfg.MODEL.MIC.AUGMENT.BLUR_PROB = 0.5
    # Range of the blur's standard deviation in pixels.
    cfg.MODEL.MIC.AUGMENT.BLUR_SIGMA = (0.15, 1.15)

    cfg.MODEL.MIC.PSEUDO_LABELS = CN()
    # Least teacher score of a pseudo box.
    cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD = 0.8
    # One threshold per class, instead of THRESHOLD; () is off.
    cfg.MODEL.MIC.PSEUDO_LABELS.CLASS_THRESHOLDS = ()
    # Boxes between this and the threshold are neither object nor background; 0 is off.
    cfg.MODEL.MIC.PSEUDO_LABELS.IGNORE_THRESHOLD = 0.0
    # Quality weight of each sample: teacher_score, student_max (the published rule) or none.
    cfg.MODEL.MIC.PSEUDO_LABELS.WEIGHT = "teacher_score"
    # Also learn box coordinates from pseudo boxes.
    cfg.MODEL.MIC.PSEUDO_LABELS.BOX_REGRESSION = False
    # Also learn instance masks from the teacher's masks (students with a mask branch).
    cfg.MODEL.MIC.PSEUDO_LABELS.MASKS = False

    cfg.MODEL.MIC.ALIGN = CN()
    # Adversarial feature alignment (SADA) of source and target.
    cfg.MODEL.MIC.ALIGN.ENABLED = False
    # Factors on the loss of the image-level classifiers, of the instance-level ones and of the consistency between both.
    cfg.MODEL.MIC.ALIGN.IMAGE_WEIGHT = 1.0
    # See IMAGE_WEIGHT; 0 is off.
    cfg.MODEL.MIC.ALIGN.INSTANCE_WEIGHT = 1.0
    # See IMAGE_WEIGHT; 0 is off.
    cfg.MODEL.MIC.ALIGN.CONSISTENCY_WEIGHT = 1.0
    # Strength of the reversed gradient that reaches the feature maps (0.025 for Cityscapes to fog, 0.01 for Sim10k).
    cfg.MODEL.MIC.ALIGN.IMAGE_GRADIENT = 0.025
    # Strength of the reversed gradient that reaches the box features.
    cfg.MODEL.MIC.ALIGN.INSTANCE_GRADIENT = 0.1
    # Factor on both for the consistency loss, whose gradient is not reversed.
    cfg.MODEL.MIC.ALIGN.CONSISTENCY_GRADIENT = 0.1
    # Hidden channels of the image-level classifiers.
    cfg.MODEL.MIC.ALIGN.IMAGE_DIM = 512
    # Hidden units of the instance-level classifiers.
    cfg.MODEL.MIC.ALIGN.INSTANCE_DIM = 1024

    # What the published code does although it looks unintended; each is off by default.
    cfg.MODEL.MIC.REFERENCE = CN()
    # Classify only RoIs of the finest level; the others have logit 0.
    cfg.MODEL.MIC.REFERENCE.INSTANCE_LEVEL_ZERO_ONLY = False
    # Include the padding of images in image-level alignment.
    cfg.MODEL.MIC.REFERENCE.ALIGN_PADDING = False
    # Weight the objectness loss by the student's objectness without detaching it; below 1 / e its gradient has the wrong sign.
    cfg.MODEL.MIC.REFERENCE.RPN_WEIGHT_GRADIENT = False
    # RPN.POST_NMS_TOPK_TRAIN counts the proposals of source and target together instead of each image's.
    cfg.MODEL.MIC.REFERENCE.BATCH_PROPOSALS = False
    # Add a box around the whole image to the target's proposals.
    cfg.MODEL.MIC.REFERENCE.TARGET_IMAGE_BOX = False

    add_backbone_config(cfg)

    # Unlabelled target: registered datasets, folders of images or COCO JSON files; their labels are never read.
    cfg.DATASETS.TARGET = ()
    # Datasets to declare without code: mappings as mic_det/data/declare.py explains, or paths of YAML files with lists of them.
    cfg.DATASETS.DECLARE = ()
    # Strength of brightness, contrast and saturation jitter of labelled training images; 0 is off.
    cfg.INPUT.COLOR_JITTER = 0.0

    # SGD or AdamW.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Target images per iteration over all processes; IMS_PER_BATCH counts the source images.
    cfg.SOLVER.TARGET_IMS_PER_BATCH = 1
    # Each iteration's images go through the network in this many parts, to save memory.
    cfg.SOLVER.ACCUMULATE = 1
    # When positive, BASE_LR is multiplied by IMS_PER_BATCH / this and all iteration counts are divided by it.
    cfg.SOLVER.REFERENCE_IMS_PER_BATCH = 0
    # Number type of mixed precision (SOLVER.AMP.ENABLED): bf16 or fp16.
    cfg.SOLVER.AMP.DTYPE = "bf16"
    # Stop after this many steps in a row with non-finite gradients; each of them is skipped.
    cfg.SOLVER.MAX_BAD_STEPS = 20
    # Clip the norm of the whole gradient to this; 0 is off.
    cfg.SOLVER.CLIP_NORM = 0.0
    # Factor on the learning rate from each transformer block of a ViT to the one below; 1 is off, ViTDet has 0.7.
    cfg.SOLVER.VIT_LAYER_DECAY = 1.0

    # Metrics beside COCO's AP, AP50 and AP75: voc07 (11 recalls), voc12 (exact area), both at IoU 0.5.
    cfg.TEST.VOC_METRICS = ()
    # Which detectors to evaluate: teacher, student or both.
    cfg.TEST.MODELS = ("teacher", "student")

    cfg.CHECKPOINT = CN()
    # Periodic checkpoints to keep besides the final one; older ones are deleted. 0 keeps all.
    cfg.CHECKPOINT.KEEP = 3
    # Evaluation metric, e.g. teacher/cityscapes_foggy_0.02_val/AP50, whose best checkpoint is kept beside the last one.
    # It selects by target labels, which unsupervised adaptation does not have, and is named so. Empty is off.
    cfg.CHECKPOINT.BEST_ON = ""

    cfg.LOG = CN()
    # Iterations between two log lines; the only moments at which training waits for the device.
    cfg.LOG.PERIOD = 20
    # Iterations between two rows of pseudo-label pictures in TensorBoard; 0 is off.
    cfg.LOG.PICTURE_PERIOD = 1000
    # Warn when no pseudo box was found for this many iterations.
    cfg.LOG.COLLAPSE_ITERS = 200
    # Warn when there are this many times more pseudo boxes than source boxes per image.
    cfg.LOG.RUNAWAY_FACTOR = 3.0
    return cfg


def add_backbone_config(cfg):
    """Keys of the backbones that mic-det adds to detectron2's."""
    cfg.MODEL.VGG = CN()
    # Outputs of VGG16 without FPN: conv1 to conv5 (strides 1 to 16) and pool5 (stride 32).
    cfg.MODEL.VGG.OUT_FEATURES = ("conv5",)

    cfg.MODEL.VIT = CN()
    # Side in pixels of the training images that positions are laid out for; other sizes are interpolated.
    cfg.MODEL.VIT.IMG_SIZE = 1024
    # Side of a patch in pixels.
    cfg.MODEL.VIT.PATCH_SIZE = 16
    # Channels: 768 is ViT-B, 1024 ViT-L.
    cfg.MODEL.VIT.EMBED_DIM = 768
    # Transformer blocks: 12 is ViT-B, 24 ViT-L.
    cfg.MODEL.VIT.DEPTH = 12
    # Attention heads: 12 is ViT-B, 16 ViT-L.
    cfg.MODEL.VIT.NUM_HEADS = 12
    # Side in patches of the attention windows.
    cfg.MODEL.VIT.WINDOW_SIZE = 14
    # Blocks that attend to the whole image instead of windows.
    cfg.MODEL.VIT.GLOBAL_BLOCKS = (2, 5, 8, 11)
    # Rate of stochastic depth.
    cfg.MODEL.VIT.DROP_PATH = 0.1

    cfg.MODEL.TIMM = CN()
    # Model name in timm; it must give feature maps of strides 4, 8, 16 and 32.
    cfg.MODEL.TIMM.NAME = "convnext_tiny"
    # Local file of timm's pretrained weights; empty for random ones.
    cfg.MODEL.TIMM.PRETRAINED_FILE = ""
    # Replace batch normalisation, whose statistics of two domains would mix, by its frozen form.
    cfg.MODEL.TIMM.FREEZE_BN = True


def known_keys(cfg, prefix=""):
    """All full key names of a config, e.g. MODEL.MIC.MASK.RATIO."""
    for name, value in cfg.items():
        if isinstance(value, CN):
            yield from known_keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def load_config(config_file=None, overrides=()):
    """Detectron2's and mic-det's defaults, merged with a YAML file and `KEY VALUE` overrides.

    Raises:
        UserError: naming the unknown key, the file that is missing or the value of a wrong type.
    """
    cfg = add_mic_config(get_cfg())
    if config_file and not Path(config_file).is_file():
        raise UserError(f"Config file {config_file} does not exist.")
    source = config_file or "the command line"
    try:
        if config_file:
            cfg.merge_from_file(str(config_file))
        source = "the command line"
        cfg.merge_from_list(list(overrides))
    except (KeyError, ValueError, AssertionError) as error:
        message = str(error.args[0]) if error.args else str(error)
        key = message.rsplit(" ", 1)[-1]
        hint = did_you_mean(key, known_keys(cfg)) if "Non-existent" in message else ""
        raise UserError(f"Wrong config in {source}: {message}.{hint}") from None
    return cfg


def num_classes_key(cfg):
    """Name of the key that holds the student's number of classes."""
    return "MODEL.RETINANET.NUM_CLASSES" if cfg.MODEL.MIC.STUDENT == "RetinaNet" else "MODEL.ROI_HEADS.NUM_CLASSES"


def num_classes(cfg):
    """Number of classes of the student."""
    return cfg.MODEL.RETINANET.NUM_CLASSES if cfg.MODEL.MIC.STUDENT == "RetinaNet" else cfg.MODEL.ROI_HEADS.NUM_CLASSES
