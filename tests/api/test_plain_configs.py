"""A plain detectron2 config is wrapped and nothing else of it changes; other settings than a checkpoint's are said."""

import logging

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model

import mic_det
from mic_det.engine import AdaptationTrainer
from mic_det.engine.agreement import warn_of_other_settings
from mic_det.engine.changes import differences
from mic_det.engine.checks import check_config
from mic_det.errors import UserError
from tests.api.conftest import PLAIN, plain_cfg


def image(seed=0):
    return torch.randint(0, 256, (60, 100, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)).numpy()


def test_only_the_meta_architecture_changes(detector):
    own = mic_det.load_config(detector / "plain.yaml")
    assert (own.MODEL.META_ARCHITECTURE, own.MODEL.MIC.STUDENT) == ("MaskedConsistencyDetector", "GeneralizedRCNN")
    for key in PLAIN.keys() - {"MODEL.META_ARCHITECTURE"}:
        section, plain = own, plain_cfg()
        for name in key.split("."):
            section, plain = section[name], plain[name]
        assert section == plain, key


@pytest.mark.parametrize("kind", ["file", "object", "base", "override"])
def test_it_is_wrapped_wherever_it_comes_from(detector, tmp_path, kind, caplog):
    child = tmp_path / "child.yaml"
    child.write_text(f"_BASE_: {detector / 'plain.yaml'}\nSEED: 4\n")
    plain = plain_cfg()
    given = {"file": detector / "plain.yaml", "object": plain, "base": child, "override": detector / "plain.yaml"}[kind]
    with caplog.at_level(logging.INFO, "mic_det"):
        cfg = mic_det.load_config(given, ["MODEL.META_ARCHITECTURE", "RetinaNet"] if kind == "override" else [])
    assert cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencyDetector"
    assert ("RetinaNet" if kind == "override" else "GeneralizedRCNN") == cfg.MODEL.MIC.STUDENT
    assert sum("plain detectron2 config" in message for message in caplog.messages) == 1
    assert plain.MODEL.META_ARCHITECTURE == "GeneralizedRCNN" and "MIC" not in plain.MODEL  # the caller's own is left alone


def test_the_wrapped_detector_answers_as_detectron2_does(detector):
    cfg = plain_cfg()
    cfg.MODEL.WEIGHTS = str(detector / "plain.pth")
    picture = image()
    expected = DefaultPredictor(cfg)(picture[..., ::-1].copy())["instances"]  # takes BGR
    found = mic_det.load(detector / "plain.pth", config=detector / "plain.yaml").predict(picture, min_score=0).instances
    assert len(expected) and torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)
    assert torch.equal(found.scores, expected.scores) and torch.equal(found.pred_classes, expected.pred_classes)


@pytest.mark.parametrize("name", ["PanopticFPN", "SemanticSegmentor"])
def test_a_network_that_cannot_adapt_is_one_sentence(detector, name):
    cfg = mic_det.load_config(detector / "plain.yaml", ["MODEL.META_ARCHITECTURE", name])
    with pytest.raises(UserError, match=f"'{name}', which MaskedConsistencyDetector cannot adapt"):
        check_config(cfg)


def test_a_misspelt_meta_architecture_stays_what_it_was(detector):
    cfg = mic_det.load_config(detector / "plain.yaml", ["MODEL.META_ARCHITECTURE", "GeneralisedRCNN"])
    assert cfg.MODEL.META_ARCHITECTURE == "GeneralisedRCNN"


def test_an_object_is_as_good_as_a_file_and_may_have_more_keys(detector):
    cfg = plain_cfg()
    cfg.MODEL.MINE = "kept"
    assert mic_det.load_config(cfg).MODEL.MINE == "kept"
    assert not differences(mic_det.load_config(detector / "plain.yaml"), mic_det.load_config(plain_cfg()))
    again = mic_det.load_config(mic_det.load_config(detector / "plain.yaml", ["MODEL.MIC.MASK.RATIO", 0.3]))
    assert again.MODEL.MIC.MASK.RATIO == 0.3


def test_a_trainer_takes_a_fresh_detectron2_config(datasets, tmp_path):
    cfg = plain_cfg()
    cfg.DATASETS.TRAIN, cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.OUTPUT_DIR = ("toycity_train",), 1, (), str(tmp_path)
    assert get_cfg().SEED == cfg.SEED == -1
    trainer = AdaptationTrainer(cfg)
    trainer.train()
    assert trainer.cfg.SEED >= 0 and (tmp_path / "model_final.pth").is_file()


def test_other_settings_than_the_checkpoints_are_said(detector, tmp_path, caplog):
    (tmp_path / "config.yaml").write_text(plain_cfg().dump())
    weights = tmp_path / "model.pth"
    other = ["MODEL.ANCHOR_GENERATOR.OFFSET", 0.5, "MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlign", "SOLVER.MAX_ITER", 3, "SEED", 1]
    cfg = mic_det.load_config(detector / "plain.yaml", [*other, "MODEL.DEVICE", "cuda"])
    keys = ["MODEL.ANCHOR_GENERATOR.OFFSET", "MODEL.ROI_BOX_HEAD.POOLER_TYPE"]
    with caplog.at_level(logging.WARNING, "mic_det"):
        assert sorted(warn_of_other_settings(cfg, weights)) == keys
    assert "OFFSET: 0.25 there, 0.5 here" in caplog.text and "'ROIAlignV2' there, 'ROIAlign' here" in caplog.text
    assert not warn_of_other_settings(mic_det.load_config(detector / "plain.yaml"), weights)
    assert not warn_of_other_settings(cfg, detector / "plain.pth")  # nothing beside it


def test_other_class_names_are_said(detector, tmp_path):
    def cfg(*names):
        entry = {"name": "mine", "format": "coco", "images": "x", "annotations": "y", "classes": list(names)}
        return mic_det.load_config(detector / "plain.yaml", ["DATASETS.DECLARE", (entry,), "DATASETS.TRAIN", ("mine",)])

    (tmp_path / "config.yaml").write_text(cfg("car", "bus").dump())
    assert warn_of_other_settings(cfg("bus", "car"), tmp_path / "model.pth") == ["class names"]
    assert not warn_of_other_settings(cfg("car", "bus"), tmp_path / "model.pth")


def test_a_burn_in_that_never_ends_is_refused(detector):
    cfg = mic_det.load_config(detector / "plain.yaml", ["DATASETS.TARGET", ("x",), "MODEL.MIC.BURN_IN", 270000])
    with pytest.raises(UserError, match="BURN_IN is 270000: must be below SOLVER.MAX_ITER 270000"):
        check_config(cfg)


def test_build_model_of_the_wrapped_config_is_detectron2s_own(detector):
    model = build_model(mic_det.load_config(detector / "plain.yaml"))
    assert type(model.student).__name__ == "GeneralizedRCNN"
