"""Every block of the documentation is run, as it stands, or says why not. Only sizes are made small."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model

from tests.conftest import REPOSITORY, TINY, TINY_CLASSIFICATION, TINY_SEGMENTATION
from tests.docs.blocks import BLOCKS, blocks_of

SHORT = ("SOLVER.MAX_ITER", 2, "SOLVER.STEPS", "()", "MODEL.ROI_BOX_HEAD.NUM_FC", 1)
TASKS = {"_seg": [*TINY_SEGMENTATION, *SHORT[:2]], "_cls": [*TINY_CLASSIFICATION, *SHORT[:2]], "": [*TINY, *SHORT]}
TAKE_KEYS = ("adapt", "check", "convert", "evaluate", "export", "predict", "train", "view")
RUN = [block for block in BLOCKS if block.language in ("bash", "python") and block.reason is None]


def test_nothing_is_left_out_without_a_reason():
    assert len(RUN) >= 6
    assert all(len(block.reason) > 3 for block in BLOCKS if block.reason is not None)


@pytest.fixture
def home(toycity, tmp_path, monkeypatch):
    """A folder that looks to a reader as the documentation says: a checkout, ToyCity, and a detector and images of one's own."""
    for name in ("configs", "tools", "Makefile"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    datasets = tmp_path / "datasets"
    datasets.mkdir()
    for path in (REPOSITORY / "datasets").glob("*.py"):
        (datasets / path.name).symlink_to(path)
    for path in toycity.iterdir():
        shutil.copytree(path, datasets / path.name)  # some commands render it anew
    streets = toycity / "toycity/leftImg8bit_foggy/val"
    for place in ("night", "data/night"):
        shutil.copytree(streets, tmp_path / place)
    shutil.copy(next(streets.rglob("*.png")), tmp_path / "night/street.png")
    labels = toycity / "toycity/annotations/instances_train.json"
    for images, file in (("images", "labels.json"), ("data/source/images", "data/source/labels.json")):
        shutil.copytree(toycity / "toycity/leftImg8bit", tmp_path / images / "leftImg8bit")
        shutil.copy(labels, tmp_path / file)
    write_own_detector(tmp_path, classes=len(json.loads(labels.read_text())["categories"]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    return tmp_path


def write_own_detector(folder, classes):
    """`my_detectron2.yaml`, a config of plain detectron2 that differs from ours, and `my_detector.pth`, weights for it."""
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            *(
                "MODEL.BACKBONE.NAME",
                "build_resnet_fpn_backbone",
                "MODEL.RESNETS.DEPTH",
                18,
                "MODEL.RESNETS.RES2_OUT_CHANNELS",
                64,
            ),
            *("MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.RESNETS.NORM", "GN"),
            *("MODEL.FPN.IN_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu"),
            *("MODEL.ANCHOR_GENERATOR.SIZES", [[16], [32], [64], [128], [256]], "MODEL.ANCHOR_GENERATOR.OFFSET", 0.5),
            *("MODEL.RPN.IN_FEATURES", ["p2", "p3", "p4", "p5", "p6"], "MODEL.RPN.CONV_DIMS", [-1]),
            *("MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_HEADS.IN_FEATURES", ["p2", "p3", "p4", "p5"]),
            *("MODEL.ROI_HEADS.NUM_CLASSES", classes, "MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHead"),
            *("MODEL.ROI_BOX_HEAD.NUM_FC", 1, "MODEL.ROI_BOX_HEAD.FC_DIM", 32, "MODEL.FPN.OUT_CHANNELS", 32),
        ]
    )
    (folder / "my_detectron2.yaml").write_text(cfg.dump())
    torch.manual_seed(0)
    torch.save({"model": build_model(cfg).state_dict()}, folder / "my_detector.pth")


@pytest.mark.parametrize("page", sorted({block.page for block in RUN}), ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page, home):
    for block in blocks_of(page):
        text = block.text.replace("/data/", f"{home}/data/")
        if block.file is not None:
            (home / block.file).write_text(text)
        elif block.reason is None and block.language == "python":
            run([sys.executable, "-c", text])
        elif block.reason is None and block.language == "bash":
            for words in block.commands:
                words = [word.replace("/data/", f"{home}/data/").replace("FOLDER", "night") for word in words]
                run([*program(words), *map(str, made_small(words))])


def run(words):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def program(words):
    """What runs a command of the documentation here."""
    if words[0] == "mic-det":
        return [sys.executable, "-m", "mic_det", *words[1:]]
    assert words[0] == "python", f"{words[0]} cannot be run by this test: say why the block is not run"
    return [sys.executable, *words[1:]]


def made_small(words):
    """What a command gets in addition, to be done in seconds."""
    if "prepare" in words[1]:
        return ["--train", 8, "--val", 4]
    if words[0] != "mic-det":
        return []
    task = next(sizes for mark, sizes in TASKS.items() if mark in " ".join(words))
    return task if words[1] in TAKE_KEYS and "--detections" not in words else []
