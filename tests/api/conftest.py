"""A tiny plain detectron2 detector of ToyCity's classes, as a user has one: a config file and weights."""

from pathlib import Path

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model

# As far from mic-det's own settings as a plain config may be: other anchors, pooler, sizes and channel order.
PLAIN = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.DEVICE": "cpu",
    "MODEL.WEIGHTS": "",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RESNETS.NORM": "GN",
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.ANCHOR_GENERATOR.SIZES": [[8], [16], [32], [64], [128]],
    "MODEL.ANCHOR_GENERATOR.OFFSET": 0.25,
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 60,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 30,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 60,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 30,
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_HEADS.NUM_CLASSES": 8,
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.05,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 1,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlignV2",
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 5,
    "INPUT.FORMAT": "RGB",
    "INPUT.MIN_SIZE_TRAIN": (64,),
    "INPUT.MAX_SIZE_TRAIN": 128,
    "INPUT.MIN_SIZE_TEST": 56,
    "INPUT.MAX_SIZE_TEST": 120,
    "DATASETS.TRAIN": ("users_own_train",),
    "DATASETS.TEST": (),
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.BASE_LR": 0.02,
    "SOLVER.STEPS": (210000, 250000),
    "SOLVER.MAX_ITER": 270000,
}
QUICK = ("LOG.PERIOD", 1, "MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.05)


def plain_cfg():
    cfg = get_cfg()
    cfg.merge_from_list([item for pair in PLAIN.items() for item in pair])
    return cfg


@pytest.fixture(scope="session")
def detector(toycity, tmp_path_factory) -> Path:
    """Folder with plain.yaml and plain.pth."""
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(5)
    network = build_model(plain_cfg())
    torch.save({"model": network.state_dict()}, folder / "plain.pth")
    (folder / "plain.yaml").write_text(plain_cfg().dump())
    return folder


@pytest.fixture
def given(detector, datasets):
    """What every call of `adapt` here is given."""
    root = datasets / "toycity"
    return {
        "weights": detector / "plain.pth",
        "config": detector / "plain.yaml",
        "target": root / "leftImg8bit_foggy/train",
        "source": root / "annotations/instances_train.json",
        "source_images": root,
        "iterations": 2,
        "overrides": QUICK,
    }
