"""`adapt` from a plain detectron2 detector to a model that predicts; two calls in one process do not meet."""

import json
import logging
import os
import random
import warnings

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from detectron2.data import DatasetCatalog, MetadataCatalog

import mic_det
from mic_det.cli.adapt import command
from mic_det.data.cityscapes import CLASSES
from mic_det.errors import UserError


@pytest.fixture(scope="module")
def adapted(detector, toycity, tmp_path_factory):
    """(model, folder, state of the process before, the same after)."""
    folder = tmp_path_factory.mktemp("adapted") / "run"
    root = toycity / "toycity"
    before = state()
    model = mic_det.adapt(
        weights=detector / "plain.pth",
        config=detector / "plain.yaml",
        target=root / "leftImg8bit_foggy/train",
        source=root / "annotations/instances_train.json",
        test=root / "annotations/instances_val_foggy_all.json",
        output=folder,
        iterations=2,
        overrides=("LOG.PERIOD", 1, "MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.05),
    )
    return model, folder, before, state()


def state():
    loggers = [logging.getLogger(name) for name in ("mic_det", "detectron2", "detectron2.data")]
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "type": torch.get_default_dtype(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "filters": list(warnings.filters),
        "folder": os.getcwd(),
        "handlers": [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers],
        "datasets": sorted(DatasetCatalog.list()),
        "metadata": {name for name in MetadataCatalog.list() if name.startswith("adapt_")},
    }


def test_adapting_leaves_a_run_and_a_model(adapted):
    model, folder, *_ = adapted
    assert {"adapt.yaml", "config.yaml", "log.txt", "model_final.pth", "report.html", "evaluation.json"} <= set(
        os.listdir(folder)
    )
    assert model.classes == list(CLASSES)
    assert any(json.loads(line).get("pseudo_boxes_per_image") for line in (folder / "metrics.json").read_text().splitlines())
    picture = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    here, again = model.predict(picture, min_score=0.05), mic_det.load(folder).predict(picture, min_score=0.05)
    assert len(here.instances) and torch.equal(here.instances.scores, again.instances.scores)
    assert again.classes  # the source lies where it did


def test_the_schedule_and_the_detector_are_as_documented(adapted):
    cfg = mic_det.load_config(adapted[1] / "adapt.yaml")
    assert cfg.SOLVER.MAX_ITER == 2 and cfg.SOLVER.STEPS == () and pytest.approx(0.002) == cfg.SOLVER.BASE_LR
    assert cfg.MODEL.MIC.BURN_IN == 0 and cfg.SOLVER.TARGET_IMS_PER_BATCH == cfg.SOLVER.IMS_PER_BATCH == 2
    assert cfg.MODEL.ANCHOR_GENERATOR.OFFSET == 0.25 and cfg.MODEL.ROI_BOX_HEAD.POOLER_TYPE == "ROIAlignV2"


def test_the_written_config_repeats_the_run(adapted, tmp_path):
    _, folder, *_ = adapted
    again = mic_det.train(config=folder / "adapt.yaml", output=tmp_path / "again")
    first = torch.load(folder / "model_final.pth", weights_only=True)["model"]
    assert all(torch.equal(first[name], value) for name, value in again.core.state_dict().items())


def test_nothing_of_the_process_has_changed(adapted):
    *_, before, after = adapted
    for name in before:
        assert before[name] == after[name], name


def test_two_runs_have_a_log_each(given, tmp_path):
    for name in ("a", "b"):
        mic_det.adapt(**given, output=tmp_path / name)
    for name, other in (("a", "b"), ("b", "a")):
        lines = (tmp_path / name / "log.txt").read_text().splitlines()
        assert not any(str(tmp_path / other) in line for line in lines)
        assert len([line for line in lines if "Pictures and curves" in line]) == 1
        assert len([line for line in lines if line.endswith("into student and teacher.")]) == 1


def test_evaluate_repeats_what_the_run_found(adapted):
    _, folder, *_ = adapted
    entries = [json.loads(line) for line in (folder / "evaluation.json").read_text().splitlines()]
    found = mic_det.evaluate(weights=folder)
    assert set(found) == {"teacher/adapt_test", "student/adapt_test"}
    for entry in [entry for entry in entries if entry["iteration"] == 2]:
        assert found[f"{entry['model']}/{entry['dataset']}"]["AP50"] == pytest.approx(entry["AP50"], abs=1e-3)


def test_the_detector_is_evaluated_before_it_adapts(adapted, detector):
    _, folder, *_ = adapted
    entries = [json.loads(line) for line in (folder / "evaluation.json").read_text().splitlines()]
    start = {entry["model"]: entry["AP"] for entry in entries if entry["iteration"] == 0}
    assert start["teacher"] == start["student"]  # both are the detector that was given
    found = mic_det.evaluate(weights=detector / "plain.pth", config=folder / "adapt.yaml", output=folder / "start")
    assert found["teacher/adapt_test"]["AP"] == pytest.approx(start["teacher"], abs=1e-3, nan_ok=True)
    assert "What adaptation brought in 2 iterations" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": None}, "source data is not there yet.*--source"),
        ({"target": "nowhere"}, "nowhere does not exist"),
        ({"source": "nowhere.json"}, "neither a COCO JSON file nor a registered"),
        ({"classes": ["car", "bus"]}, "NUM_CLASSES of the config is 8, but --classes names 2 classes"),
        ({"overrides": ("MODEL.ROI_BOX_HEAD.FC_DIM", 16)}, "leaves parts of the network random"),
    ],
)
def test_what_cannot_be_adapted_is_said_before_anything_is_written(given, tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        mic_det.adapt(**{**given, **changed}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_classes_order_the_sources(given, tmp_path):
    turned = list(reversed(CLASSES))
    assert mic_det.adapt(**given, classes=turned, output=tmp_path / "run").classes == turned


def test_the_command_adapts(given, tmp_path):
    words = [f"--{key.replace('_', '-')}={given[key]}" for key in ("weights", "config", "target", "source", "iterations")]
    found = CliRunner().invoke(command, [*words, "--output", str(tmp_path / "run"), "LOG.PERIOD", "1", "SEED", "7"])
    assert found.exit_code == 0, (found.output, found.exception)
    assert mic_det.load_config(tmp_path / "run/adapt.yaml").SEED == 7


def test_check_counts_and_refuses(adapted, datasets):
    found = mic_det.check(datasets=["toycity_train"])
    assert found[0].classes == list(CLASSES) and found[0].images == 8
    with pytest.raises(UserError, match="Nothing to check"):
        mic_det.check()
