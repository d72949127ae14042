"""Shared fixtures: one tiny ToyCity for the whole session, and a tiny detector's config."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

import mic_det
import mic_det.registration
from mic_det.toycity.crops import write_crops
from mic_det.toycity.dataset import make_toycity, make_toycity_segmentation

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_CAMVID = REPOSITORY.parent / "shared/data/camvid"

torch.set_num_threads(1)

SLOW = tuple((REPOSITORY / "tests/slow.txt").read_text().split())


def pytest_collection_modifyitems(items):
    """Mark as `slow` what a line of slow.txt is the beginning of: a folder, a file, a test, or one of its parameters."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


# A detector small enough for a training step in a fraction of a second; 4 classes' worth of everything is kept.
TINY = [
    *("MODEL.DEVICE", "cpu", "SEED", 3, "DATALOADER.NUM_WORKERS", 0),
    *("MODEL.FPN.OUT_CHANNELS", 32, "MODEL.ROI_BOX_HEAD.FC_DIM", 32, "MODEL.RPN.CONV_DIMS", [-1]),
    *("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 60, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 30),
    *("MODEL.RPN.PRE_NMS_TOPK_TEST", 60, "MODEL.RPN.POST_NMS_TOPK_TEST", 30),
    *("MODEL.MIC.BURN_IN", 0, "SOLVER.STEPS", (), "SOLVER.IMS_PER_BATCH", 2, "SOLVER.TARGET_IMS_PER_BATCH", 2),
    *("INPUT.MIN_SIZE_TRAIN", (64,), "INPUT.MAX_SIZE_TRAIN", 128, "INPUT.MIN_SIZE_TEST", 64, "INPUT.MAX_SIZE_TEST", 128),
    # An untrained detector's scores are near 1/9: this makes it have pseudo boxes all the same.
    *("MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.05, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.02, "LOG.PERIOD", 1),
]


# The same for segmentation.
TINY_SEGMENTATION = [
    *("MODEL.DEVICE", "cpu", "SEED", 3, "DATALOADER.NUM_WORKERS", 0, "LOG.PERIOD", 1),
    *("MODEL.SEM_SEG_HEAD.CONVS_DIM", 32, "INPUT.CROP.SIZE", (64, 128), "DATASETS.RARE_CLASSES.MIN_PIXELS", 5),
    *("MODEL.MIC.BURN_IN", 0, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.TARGET_IMS_PER_BATCH", 2),
    # An untrained network is never sure.
    *("MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.06),
]


# The same for classification.
TINY_CLASSIFICATION = [
    *("MODEL.DEVICE", "cpu", "SEED", 3, "DATALOADER.NUM_WORKERS", 0, "LOG.PERIOD", 1, "MODEL.MIC.BURN_IN", 0),
    *("INPUT.CLASSIFICATION.RESIZE", 36, "INPUT.CLASSIFICATION.CROP", 32, "MODEL.MIC.CDAN.HIDDEN_DIM", 16),
    *("SOLVER.IMS_PER_BATCH", 4, "SOLVER.TARGET_IMS_PER_BATCH", 4),
]


@pytest.fixture(scope="session")
def toycity(tmp_path_factory):
    """The datasets' folder with a ToyCity of 8 + 4 scenes of 128x64 for either task, as DETECTRON2_DATASETS."""
    root = tmp_path_factory.mktemp("datasets")
    make_toycity(root / "toycity", train=8, val=4, size=(128, 64), workers=1, masks=True)
    make_toycity_segmentation(root, train=8, val=4, size=(128, 64), workers=1)
    write_crops(root / "toycity_cls", {"train": 8, "val": 4}, size=(256, 128))
    os.environ["DETECTRON2_DATASETS"] = str(root)
    return root


@pytest.fixture
def datasets(toycity, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(toycity))
    return toycity


def tiny(default, fixed, folder):
    """config(*overrides, name=default) -> tiny config that writes to a temporary folder."""

    def build(*overrides, name=default):
        options = [*fixed, "OUTPUT_DIR", str(folder / "run"), *overrides]
        return mic_det.load_config(name, options)

    return build


@pytest.fixture
def tiny_cfg(datasets, tmp_path):
    return tiny("toycity_mic", TINY, tmp_path)


@pytest.fixture
def tiny_seg_cfg(datasets, tmp_path):
    return tiny("toycity_seg_mic_daformer", TINY_SEGMENTATION, tmp_path)


@pytest.fixture
def tiny_cls_cfg(datasets, tmp_path):
    return tiny("toycity_cls_mic", TINY_CLASSIFICATION, tmp_path)


def run_script(*arguments, check=True, **environment):
    """Run one of the repository's scripts as a user would; returns the finished process."""
    run = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "GLOO_SOCKET_IFNAME": "lo", **environment},
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert not check or run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return run
