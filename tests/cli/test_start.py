"""The command's start: quick, light, quiet, and clear about wrong usage."""

import json
import subprocess
import sys
import time

import pytest

import mic_det.cli
from mic_det.cli import VERBS, group
from mic_det.errors import UserError
from mic_det.tooling import run_tool
from tests.conftest import REPOSITORY, run_script

HEAVY = ("torch", "detectron2", "cv2", "matplotlib")


def loaded_after(code):
    """Which of HEAVY are imported after `code`."""
    program = f"import sys\n{code}\nprint([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return run.stdout.strip().splitlines()[-1]


def test_importing_the_package_is_light():
    assert loaded_after("import mic_det; mic_det.__version__; dir(mic_det)") == "[]"


@pytest.mark.parametrize("words", [["--help"], ["configs", "ls"], *([verb, "--help"] for verb in VERBS)])
def test_help_and_the_list_of_configs_need_no_torch(words):
    if words[0] in ("adapt", "compare"):
        pytest.importorskip(f"mic_det.cli.{words[0]}")
    code = f"from mic_det.cli import run\ntry:\n    run({words})\nexcept SystemExit:\n    pass"
    assert loaded_after(code) == "[]"


@pytest.mark.parametrize("words", [("--help",), ("configs", "ls")])
def test_the_start_is_quick(words):
    """Under half a second on an idle machine; here other tests run beside it."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        run_script("-m", "mic_det", *words)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2


def test_reading_a_name_registers_everything():
    code = (
        "import mic_det; mic_det.add_mic_config\n"
        "from detectron2.data import DatasetCatalog\n"
        "from detectron2.modeling import META_ARCH_REGISTRY\n"
        "print('MaskedConsistencyDetector' in META_ARCH_REGISTRY, {'toycity_train', 'cityscapes_train'} <= set(DatasetCatalog))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=REPOSITORY, text=True).split() == ["True", "True"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mic_det.nonsense  # noqa: B018


def test_the_help_lists_every_verb(capsys):
    assert mic_det.cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in VERBS) and "_MIC_DET_COMPLETE" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["train"], "Missing option '--config'"),
        (["train", "--config", "toycity", "--resum"], "No such option"),
        (["benchmark", "--config", "toycity", "--image-size", "9"], "'9' is not HEIGHTxWIDTH"),
        (["text-bank", "--classes", "car", "--weights", "x", "--output", "y", "--alias", "car"], "'car' is not CLASS=WORD"),
    ],
)
def test_wrong_usage_is_2(capsys, words, message):
    assert mic_det.cli.run(words) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_negative_values_of_config_keys_are_no_options():
    context = group.get_command(None, "train").make_context("train", ["--config", "toycity", "SEED", "-1", "A.B", "-0.5"])
    assert context.params["overrides"] == ("SEED", "-1", "A.B", "-0.5")


def test_completion_knows_verbs_and_configs():
    def completed(line, index):
        shell = {"_MIC_DET_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(index)}
        return run_script("-c", "from mic_det.cli import group; group(prog_name='mic-det')", check=False, **shell).stdout

    assert "plain,doctor" in completed("mic-det do", 1)
    assert "plain,cs2foggy_mic" in completed("mic-det train --config cs2foggy_m", 3)


def ended_with(main):
    with pytest.raises(SystemExit) as found:
        run_tool(main)
    return found.value.code


def test_exit_statuses(capsys):
    def raises(error):
        def main():
            raise error

        return main

    assert ended_with(lambda: None) is None and ended_with(lambda: 1) == 1
    assert ended_with(raises(UserError("Name a file."))) == "error: Name a file."
    assert ended_with(raises(PermissionError(13, "no", "x.pth"))) == "error: x.pth: Permission denied."
    assert ended_with(raises(KeyboardInterrupt())) == 130 and capsys.readouterr().err == "stopped\n"
    with pytest.raises(FileNotFoundError):
        run_tool(raises(FileNotFoundError(2, "a bug")))


def test_no_library_warns_at_the_start_of_a_verb(tmp_path):
    run = run_script("-m", "mic_det", "train", "--config", "nowhere", check=False, PYTHONWARNINGS="default")
    assert run.returncode == 1 and len(run.stderr.strip().splitlines()) == 1, run.stderr
    assert json.dumps(run.stdout) == '""'
