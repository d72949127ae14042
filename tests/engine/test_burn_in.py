"""A run that takes over the source-only burn-in ends where it would have ended alone, bit by bit."""

import pytest
import torch

from mic_det.checkpoint import files
from mic_det.engine import AdaptationTrainer, burn_in
from mic_det.errors import UserError

SCHEDULE = [*("MODEL.MIC.BURN_IN", 2, "SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.MAX_ITER", 4, "SOLVER.WARMUP_ITERS", 3)]


@pytest.fixture
def run(tiny_cfg, tiny_seg_cfg, tmp_path):
    def run(name, folder, resume=False, *overrides):
        (tmp_path / folder).mkdir(exist_ok=True)
        cfg = (tiny_seg_cfg if "_seg_" in name else tiny_cfg)(
            *SCHEDULE, "OUTPUT_DIR", str(tmp_path / folder), "DATASETS.TEST", (), *overrides, name=name
        )
        trainer = AdaptationTrainer(cfg)
        if resume:
            trainer.resume()
        trainer.train()
        return trainer

    return run


@pytest.mark.parametrize("name", ["toycity", "toycity_sada", "toycity_mic"])
def test_a_shared_burn_in_changes_no_bit(run, tmp_path, name):
    run("toycity_source_only", "source_only")
    whole = run(name, "whole")
    burn_in.share(tmp_path / "source_only", tmp_path / "shared", 2)
    shared = run(name, "shared", True)
    assert shared.start_iter == 2
    assert_equal(whole, shared)
    assert [group["lr"] for group in whole.optimizers["optimizer"].param_groups] == [
        group["lr"] for group in shared.optimizers["optimizer"].param_groups
    ]


def assert_equal(one, other):
    for key, value in one.core.state_dict().items():
        assert torch.equal(value, other.core.state_dict()[key]), key


def test_statistics_of_teachers_follow_the_student_until_adaptation_begins(run, tmp_path):
    """Without a target, a teacher that would use its batches' statistics is the plain one; with one, the burn-in is shared."""
    norm, own = ("MODEL.SEM_SEG_HEAD.NORM", "BN"), ("MODEL.MIC.TEACHER.BATCH_STATISTICS", True)
    alone = run("toycity_seg_source_only", "source_only", False, *norm, *own)
    assert_equal(run("toycity_seg_source_only", "plain", False, *norm), alone)
    whole = run("toycity_seg_mic_daformer", "whole", False, *norm, *own)
    burn_in.share(tmp_path / "source_only", tmp_path / "shared", 2)
    assert_equal(whole, run("toycity_seg_mic_daformer", "shared", True, *norm, *own))
    student, teacher = whole.core.student.sem_seg_head.fuse.norm, whole.core.teacher.model.sem_seg_head.fuse.norm
    # The update before the second step of the burn-in copied one batch; then came two batches of its own.
    assert teacher.num_batches_tracked == 1 + 2 and not torch.equal(teacher.running_mean, student.running_mean)


def test_missing_classifiers_after_the_burn_in_are_an_error(run, tmp_path):
    run("toycity_mic", "mic")
    content = files.load(tmp_path / "mic/model_final.pth")
    files.save(tmp_path / "late/model_0000003.pth", {**content, "iteration": 2})
    with pytest.raises(UserError, match="does not fit the configured model"):
        run("toycity", "late", True)


def test_an_existing_run_is_not_overwritten(run, tmp_path):
    run("toycity_source_only", "source_only")
    run("toycity_mic", "mic")
    before = (tmp_path / "mic/last_checkpoint").read_text()
    burn_in.share(tmp_path / "source_only", tmp_path / "mic", 2)
    assert (tmp_path / "mic/last_checkpoint").read_text() == before
