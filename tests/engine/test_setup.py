"""Device, seed and output folder of a run."""

import numpy as np
import pytest
import torch

import mic_det
from mic_det.engine import AdaptationTrainer
from mic_det.engine.setup import fit_to_machine, prepare_run, write_settings
from mic_det.errors import UserError
from tests.conftest import REPOSITORY, TINY

CONFIG = REPOSITORY / "configs/toycity_mic.yaml"


@pytest.fixture
def gpus(monkeypatch):
    def visible(count):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return visible


def device(name):
    return fit_to_machine(mic_det.load_config(None, ["MODEL.DEVICE", name, "SEED", 1])).MODEL.DEVICE


def test_devices(gpus, monkeypatch):
    gpus(0)
    assert [device(name) for name in ("cpu", "cuda", "cuda:0", "cuda:3")] == ["cpu"] * 4
    gpus(2)
    assert [device(name) for name in ("cpu", "cuda", "cuda:0", "cuda:1")] == ["cpu", "cuda", "cuda:0", "cuda:1"]
    with pytest.raises(UserError, match=r"MODEL\.DEVICE is cuda:2, but only 2 GPUs are visible"):
        device("cuda:2")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"MODEL\.DEVICE is mps"):
        device("mps")


def test_a_negative_seed_is_drawn_and_the_users_config_stays_as_it_is(caplog):
    caplog.set_level("INFO")
    cfg = mic_det.load_config(None, ["MODEL.DEVICE", "cpu"])
    cfg.freeze()
    np.random.seed(0)
    drawn = [fit_to_machine(cfg) for _ in range(2)]
    assert drawn[0].SEED != drawn[1].SEED and all(part.SEED >= 0 and part.is_frozen() for part in drawn)
    assert cfg.SEED == -1 and f"SEED {drawn[0].SEED} repeats this run" in caplog.text
    assert fit_to_machine(drawn[0]).SEED == drawn[0].SEED


@pytest.mark.parametrize("frozen", [False, True])
def test_a_trainer_draws_the_seed_that_its_config_leaves_open(tiny_cfg, frozen):
    cfg = tiny_cfg("SEED", -1, "DATASETS.TEST", (), "SOLVER.MAX_ITER", 2)
    if frozen:
        cfg.freeze()
    trainer = AdaptationTrainer(cfg)
    assert trainer.cfg.SEED >= 0 and trainer.cfg.is_frozen() == frozen
    again = AdaptationTrainer(tiny_cfg("SEED", trainer.cfg.SEED, "DATASETS.TEST", (), "SOLVER.MAX_ITER", 2))
    for name, value in trainer.core.state_dict().items():
        assert torch.equal(value, again.core.state_dict()[name]), name


def test_a_resumed_run_keeps_the_seed_that_it_drew(datasets, tmp_path):
    options = [*TINY, "SEED", -1, "OUTPUT_DIR", str(tmp_path / "run")]
    first = prepare_run(CONFIG, options)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    write_settings(first)
    assert f"SEED: {first.SEED}\n" in (tmp_path / "run/config.yaml").read_text()
    assert prepare_run(CONFIG, options, resume=True).SEED == first.SEED
    assert prepare_run(CONFIG, [*options, "SEED", 7], resume=True).SEED == 7
    assert prepare_run(CONFIG, options).SEED != first.SEED


def test_a_runs_config_is_data(datasets, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text("SEED: !!python/object/apply:os.getcwd []")
    with pytest.raises(UserError, match=r"config\.yaml is not valid YAML.*os\.getcwd is not allowed"):
        prepare_run(CONFIG, [*TINY, "SEED", -1, "OUTPUT_DIR", str(tmp_path / "run")], resume=True)


def test_folders_that_cannot_be_written(datasets, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file/out", "a\0b", "x" * 5000):
        with pytest.raises(UserError, match=r"^OUTPUT_DIR: nothing can be written to "):
            prepare_run(CONFIG, [*TINY, "OUTPUT_DIR", str(path)])
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(UserError, match="permission is missing"):
        prepare_run(CONFIG, [*TINY, "OUTPUT_DIR", str(tmp_path / "read_only")])
