"""Keys of image classification: network, CDAN, MCC and image sizes."""

from detectron2.config import CfgNode
from detectron2.config import CfgNode as CN

from .ranges import Count, NonNegative, Positive


def add_classification_config(cfg: CfgNode) -> None:
    """Add these keys to a config that has MODEL.MIC, in place."""
    cfg.MODEL.CLASSIFIER = CN()
    # Number of classes.
    cfg.MODEL.CLASSIFIER.NUM_CLASSES = 12
    # Size of the feature vector before the classifier, which CDAN aligns.
    cfg.MODEL.CLASSIFIER.BOTTLENECK_DIM = 256

    cfg.MODEL.MIC.CDAN = CN()
    # Factor on the conditional adversarial loss; 0 is off, 1 the published value.
    cfg.MODEL.MIC.CDAN.WEIGHT = 0.0
    # Hidden units of the discriminator.
    cfg.MODEL.MIC.CDAN.HIDDEN_DIM = 1024
    # Pace at which the reversed gradient grows from 0 to 1: it has 0.46 after so many iterations of adaptation.
    cfg.MODEL.MIC.CDAN.RAMP_ITERS = 1000
    # Certain samples count more (CDAN+E).
    cfg.MODEL.MIC.CDAN.ENTROPY_WEIGHTING = False

    cfg.MODEL.MIC.MCC = CN()
    # Factor on the class confusion of target predictions; 0 is off, 1 the published value.
    cfg.MODEL.MIC.MCC.WEIGHT = 0.0
    # Divides their logits (2 for ViT-B/16, 3 for ResNet-101).
    cfg.MODEL.MIC.MCC.TEMPERATURE = 2.0

    cfg.INPUT.CLASSIFICATION = CN()
    # Side in pixels of the square that images are squeezed into.
    cfg.INPUT.CLASSIFICATION.RESIZE = 256
    # Side of the crop, in the middle, that the network sees.
    cfg.INPUT.CLASSIFICATION.CROP = 224
    # In training, crop a random region of random ratio instead of the middle.
    cfg.INPUT.CLASSIFICATION.RANDOM_RESIZED_CROP = False


RANGES = {
    "MODEL.CLASSIFIER.NUM_CLASSES": Count,
    "MODEL.CLASSIFIER.BOTTLENECK_DIM": Count,
    "MODEL.MIC.CDAN.WEIGHT": NonNegative,
    "MODEL.MIC.CDAN.HIDDEN_DIM": Count,
    "MODEL.MIC.CDAN.RAMP_ITERS": Count,
    "MODEL.MIC.MCC.WEIGHT": NonNegative,
    "MODEL.MIC.MCC.TEMPERATURE": Positive,
    "INPUT.CLASSIFICATION.RESIZE": Count,
    "INPUT.CLASSIFICATION.CROP": Count,
}
