"""Kill a run at any moment, resume it, and get the uninterrupted run's numbers, bit by bit."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from mic_det.checkpoint import files
from tests.conftest import REPOSITORY, TINY, TINY_SEGMENTATION, run_script

OVERRIDES = [
    *TINY,
    *("SOLVER.MAX_ITER", 14, "SOLVER.CHECKPOINT_PERIOD", 3, "MODEL.MIC.BURN_IN", 4, "DATASETS.TEST", (), "LOG.PERIOD", 2),
]


def arguments(output, *flags, config="toycity.yaml"):
    return [
        REPOSITORY / "tools/train_net.py",
        "--config-file",
        config,
        *flags,
        *OVERRIDES,
        "OUTPUT_DIR",
        output,
    ]


@pytest.fixture(scope="module")
def uninterrupted(toycity, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run_script(*arguments(folder))
    return folder


def assert_equal_runs(folder, reference):
    found, expected = (files.load(path / "model_final.pth") for path in (folder, reference))
    for name, value in expected["model"].items():
        assert torch.equal(found["model"][name], value), name
    for name, state in expected["optimizer"]["state"].items():
        assert all(torch.equal(found["optimizer"]["state"][name][key], value) for key, value in state.items())
    assert found["scheduler"] == expected["scheduler"] and found["iteration"] == expected["iteration"] == 13
    assert metrics(folder) == metrics(reference)


def metrics(folder):
    """Our own logged means; detectron2's ("rpn/...") are medians over what one process has seen."""
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "time" not in key and "/" not in key} for line in lines]


@pytest.mark.parametrize("checkpoint", ["model_0000003.pth", "model_0000009.pth"])
def test_resume_after_kill_9(uninterrupted, tmp_path, checkpoint):
    """Killed during burn-in and while adapting."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments(tmp_path))], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 120
    while not (tmp_path / checkpoint).exists() and time.time() < deadline and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)  # into the middle of an iteration
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert files.last_checkpoint(tmp_path) is not None
    run_script(*arguments(tmp_path, "--resume"))
    assert_equal_runs(tmp_path, uninterrupted)


def test_the_burn_in_is_the_source_only_run(uninterrupted, tmp_path):
    """What lets demo and study share it."""
    run_script(*arguments(tmp_path, config="toycity_source_only.yaml"), "CHECKPOINT.KEEP", 0, "SOLVER.CHECKPOINT_PERIOD", 4)
    (tmp_path / "adapt").mkdir()
    (tmp_path / "model_0000004.pth").rename(tmp_path / "adapt/model_0000004.pth")
    (tmp_path / "adapt/last_checkpoint").write_text("model_0000004.pth")
    run_script(*arguments(tmp_path / "adapt", "--resume"))
    found, expected = (files.load(path / "model_final.pth")["model"] for path in (tmp_path / "adapt", uninterrupted))
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_run_is_not_overwritten_by_accident(uninterrupted):
    run = run_script(*arguments(uninterrupted), check=False)
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1].startswith("error: OUTPUT_DIR") and "--resume" in run.stderr


def test_segmentation_resumes_exactly(toycity, tmp_path):
    """With everything that has a state of its own: discriminator, second teacher, ImageNet features, published teacher."""
    own = [
        *("MODEL.MIC.ADVERSARIAL.WEIGHT", 0.01, "MODEL.MIC.MASK.TEACHER_ALPHA", 0.5, "MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 0.01),
        *("MODEL.MIC.TEACHER.BATCH_STATISTICS", True, "MODEL.SEM_SEG_HEAD.NORM", "BN", "MODEL.MIC.BURN_IN", 1),
        *("MODEL.MIC.TEACHER.RAMP", True, "DATASETS.TEST", (), "SOLVER.MAX_ITER", 5),
    ]
    command = [REPOSITORY / "tools/train_net.py", "--config-file", "toycity_seg_mic_daformer"]

    def run(folder, *overrides):
        run_script(*command, "--resume", *TINY_SEGMENTATION, *own, "OUTPUT_DIR", folder, *overrides)

    run(tmp_path / "whole")
    run(tmp_path / "parts", "SOLVER.CHECKPOINT_PERIOD", 3)
    (tmp_path / "parts/model_final.pth").unlink()
    (tmp_path / "parts/last_checkpoint").write_text("model_0000003.pth")
    run(tmp_path / "parts", "SOLVER.CHECKPOINT_PERIOD", 3)
    found, expected = (files.load(tmp_path / part / "model_final.pth") for part in ("parts", "whole"))
    prefixes = {name.split(".")[0] for name in expected["model"]}
    assert prefixes == {"student", "teacher", "mask_teacher", "discriminator", "feature_distance"}
    for name, value in expected["model"].items():
        assert torch.equal(found["model"][name], value), name
    for part in ("optimizer", "discriminator_optimizer"):
        for index, state in expected[part]["state"].items():
            assert all(torch.equal(found[part]["state"][index][key], value) for key, value in state.items())
    assert found["discriminator_scheduler"] == expected["discriminator_scheduler"]
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
