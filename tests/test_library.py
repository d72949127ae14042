"""Configs by name: everywhere, in every form that has worked, and never something else in silence."""

import subprocess
import sys

import pytest

from mic_det import library, load_config
from mic_det.errors import UserError
from mic_det.language import open_bank
from tests.conftest import REPOSITORY

CONFIGS = REPOSITORY / "configs"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder that is no checkout, and a library that has told nobody anything."""
    library.tell_new_place.cache_clear()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("toycity", "toycity.yaml"),
        ("toycity.yaml", "toycity.yaml"),
        ("configs/toycity.yaml", "toycity.yaml"),
        ("./configs/toycity", "toycity.yaml"),
        ("gta2cs_seg_mic_hrda", "segmentation/gta2cs_seg_mic_hrda.yaml"),
        ("gta2cs_seg_mic_hrda.yaml", "segmentation/gta2cs_seg_mic_hrda.yaml"),
        ("configs/segmentation/gta2cs_seg_mic_hrda.yaml", "segmentation/gta2cs_seg_mic_hrda.yaml"),
        ("configs/classification/officehome/officehome_Ar2Cl_cls_mic", "classification/officehome/officehome_Ar2Cl_cls_mic.yaml"),
        ("configs/_base_/cs2foggy.yaml", "_base_/cs2foggy.yaml"),
        (CONFIGS / "visda_cls_mic.yaml", "classification/visda_cls_mic.yaml"),
    ],
)
def test_names_of_the_library(name, file):
    assert library.find(name) == CONFIGS / file


@pytest.mark.parametrize("name", ["configs/gta2cs_seg_mic_hrda.yaml", CONFIGS / "gta2cs_seg_mic_hrda.yaml"])
def test_an_old_place_is_answered_with_the_new_one_once(name, caplog):
    for _ in range(2):
        assert library.find(name) == CONFIGS / "segmentation/gta2cs_seg_mic_hrda.yaml"
    (record,) = caplog.records
    assert record.message.startswith(
        f"{name} has moved to configs/segmentation/gta2cs_seg_mic_hrda.yaml, or in short gta2cs_seg_"
    )


def test_a_present_name_is_not_commented(caplog):
    for name in ("gta2cs_seg_mic_hrda", "gta2cs_seg_mic_hrda.yaml", "configs/toycity.yaml", CONFIGS / "toycity.yaml"):
        library.find(name)
    assert not caplog.records


def test_a_file_that_is_there_comes_first(elsewhere):
    (elsewhere / "toycity.yaml").write_text("SEED: 5")
    assert load_config("toycity.yaml").SEED == 5
    assert library.find("toycity") == CONFIGS / "toycity.yaml"


@pytest.mark.parametrize(
    "name", ["/tmp/none/toycity.yaml", "other/toycity.yaml", "../toycity.yaml", "_base_", "toycity.yml", "configs/x/nothing.yaml"]
)
def test_what_lies_elsewhere_is_not_taken_for_the_librarys(name):
    with pytest.raises(UserError, match=r"does not exist, and no config of the library has that name"):
        library.find(name)


def test_an_unknown_name_has_a_suggestion():
    with pytest.raises(UserError, match=r"Config file toycity_mik does not exist.*Did you mean 'toycity_mic'\?"):
        load_config("toycity_mik")


@pytest.mark.parametrize("base", ["cs2foggy.yaml", "cs2foggy", "configs/cs2foggy.yaml", CONFIGS / "cs2foggy.yaml"])
def test_a_base_may_be_the_librarys(elsewhere, base):
    (elsewhere / "mine.yaml").write_text(f"_BASE_: {base}\nSEED: 5")
    cfg = load_config(elsewhere / "mine.yaml")
    assert (cfg.SEED, cfg.DATASETS.TRAIN) == (5, ("cityscapes_train",))
    (elsewhere / "cs2foggy.yaml").write_text("DATASETS: {TRAIN: [mine]}")
    assert (("mine",) if base == "cs2foggy.yaml" else ("cityscapes_train",)) == load_config(
        elsewhere / "mine.yaml"
    ).DATASETS.TRAIN


def test_text_banks_of_the_library_are_found_from_anywhere():
    bank = open_bank("configs/text_banks/cityscapes_minilm.pth", 19)
    assert len(bank.classes) == 19
    with pytest.raises(UserError, match=r"text_banks/cityscapes_minilm.pth does not exist \(seen from"):
        open_bank("text_banks/cityscapes_minilm.pth", 19)


def test_every_config_is_found_by_its_stem_alone():
    files = [path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "_base_"]
    assert library.names() == sorted(path.stem for path in files) and len(set(library.names())) == len(files) > 180


def test_folders_are_tasks():
    for name in library.names():
        found = library.describe(name)
        folder = found.path.relative_to(CONFIGS).parts[0] if found.path.parent != CONFIGS else "detection"
        assert (found.name, found.task) == (name, folder)
        cfg = load_config(name)
        assert found.source == ", ".join(cfg.DATASETS.TRAIN)
        assert found.target == ", ".join(cfg.DATASETS.TARGET or cfg.DATASETS.TEST)
        assert len(found.summary) > 10 and not found.summary.startswith("#")


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("cs2foggy", "mic_sada"),
        ("cs2foggy_all", "mic_sada"),
        ("cs2foggy_all_mic", "mic"),
        ("gta2cs_seg_mic_hrda", "mic_hrda"),
        ("officehome_Ar2Cl_cls_sdat", "sdat"),
    ],
)
def test_methods(name, method):
    assert library.describe(name).method == method


def test_the_library_needs_no_torch():
    code = "import sys; from mic_det import library; library.describe('toycity'); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr
