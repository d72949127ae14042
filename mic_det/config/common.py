"""All keys of mic-det: every file beside this one declares those of one concern, with their defaults, comments and ranges."""

from detectron2.config import CfgNode

from .backbone import add_backbone_config
from .classification import add_classification_config
from .data import add_data_config
from .detection import add_detection_config
from .log import add_log_config
from .method import add_method_config
from .reference import add_reference_config
from .segmentation import add_segmentation_config
from .solver import add_solver_config


def add_mic_config(cfg: CfgNode) -> CfgNode:
    """Add mic-det's keys to a detectron2 config, in place, and return it. Defaults are the published detection settings."""
    add_method_config(cfg)  # makes MODEL.MIC, to which the tasks add
    add_detection_config(cfg)
    add_segmentation_config(cfg)
    add_classification_config(cfg)
    add_reference_config(cfg)
    add_backbone_config(cfg)
    add_data_config(cfg)
    add_solver_config(cfg)
    add_log_config(cfg)
    return cfg
