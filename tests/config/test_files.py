"""YAML files are data: what they may hold, and one sentence for everything else."""

from pathlib import Path

import detectron2
import pytest
import yaml
from detectron2.config import CfgNode

from mic_det.config import load_config
from mic_det.config.files import read_config, read_yaml
from mic_det.errors import UserError
from tests.conftest import REPOSITORY

DETECTRON2 = sorted(Path(detectron2.__file__).parent.rglob("*.yaml"))


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.skipif(not DETECTRON2, reason="this detectron2 comes without its model zoo's configs")
def test_detectron2s_own_files_are_read_as_it_reads_them():
    """But for its anchors of RetinaNet, which are an expression that Python would have to evaluate."""
    refused = set()
    for path in DETECTRON2:
        try:
            assert read_config(path) == CfgNode.load_yaml_with_base(str(path), allow_unsafe=False), path
        except UserError as error:
            assert "the tag !!python/object/apply:eval is not allowed" in str(error)
            with pytest.raises(yaml.constructor.ConstructorError):
                CfgNode.load_yaml_with_base(str(path), allow_unsafe=False)
            refused.add(path)
    assert len(refused) < len(DETECTRON2) / 10


def test_tuples_and_plain_values(tmp_path):
    text = "a: !!python/tuple [1, !!python/tuple [x]]\nb: (1, 2)\nc: {d: [1.5, null, true]}\nday: 2021-01-01\nsame: &x [1]\nagain: *x"
    assert read_yaml(write(tmp_path / "f.yaml", text)) == {
        **{"a": (1, ("x",)), "b": "(1, 2)", "c": {"d": [1.5, None, True]}, "day": "2021-01-01", "same": [1], "again": [1]}
    }
    text = "DATASETS:\n  TRAIN: !!python/tuple [a, b]\n  TEST: ('c',)\nSOLVER:\n  STEPS: (1, 2)"
    cfg = load_config(write(tmp_path / "c.yaml", text))
    assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST, cfg.SOLVER.STEPS) == (("a", "b"), ("c",), (1, 2))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(tmp_path, encoding):
    assert read_yaml(write(tmp_path / "f.yaml", "a: ä".encode(encoding))) == {"a": "ä"}


LAUGHTER = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.getcwd []", "line 1, column 4: the tag !!python/object/apply:os.getcwd is not allowed"),
        ("a: !!python/name:os.system", "the tag !!python/name:os.system is"),
        ("%TAG ! tag:yaml.org,2002:python/\n---\na: !object/new:os.getcwd []", "the tag !!python/object/new:os.getcwd is"),
        ("- !mine {x: 1}", "the tag !mine is"),
        ("a: !!set {b}", "the tag !!set is"),
        ("a: !!binary aGVsbG8=", "the tag !!binary is"),
        ("? !!python/object/apply:os.getcwd []\n: 1", "the tag !!python/object/apply:os.getcwd is"),
        ("? [1]\n: 1", "the key of this mapping is not text"),
        ("a: 1\nb: {c: 1, d: 2, c: 3}", "line 2, column 17: 'c' stands twice, in line 2 and here"),
        ("a: 1\nb: 2\na: 1", "line 3, column 1: 'a' stands twice, in line 1"),
        ("1: x", "the key '1' is not text: quote it"),
        ("yes: x", "the key 'yes' is not text"),
        ("a: &x [*x]", "an alias stands inside its own anchor"),
        ("a: &x {b: {<<: *x}}", "an alias stands inside its own anchor"),
        (LAUGHTER, "unfold to too many values"),
        ("a:\n\tb: 1", "line 2, column 1: .*a tab cannot indent"),
        ("a:\n b: 1\n   c: 1", "line 3, column 5: mapping values are not allowed here"),
        ("a: [", "line 1"),
        ("a: *gone", "undefined alias"),
        ("a: 1\n---\na: 2", "line 2, column 1: .*another document"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("[" * 1500, "nested too deeply"),
        ("a: !!int x", "not what its tag says"),
        ("a: 0b_", "not what its tag says"),
        ("a: !!bool perhaps", "not what its tag says"),
        ("a: é".encode("latin1"), "is not a text file in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not a text file in UTF-8"),
    ],
)
def test_what_is_no_plain_yaml_is_one_sentence(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"^A file {tmp_path}/f\.yaml [^\n]*{message}"):
        read_yaml(write(tmp_path / "f.yaml", text), "A file")


@pytest.mark.parametrize(("path", "message"), [("gone", "does not exist"), (".", "is a folder"), ("x" * 5000, "too long")])
def test_what_is_no_file_is_one_sentence(tmp_path, path, message):
    with pytest.raises(UserError, match=message):
        read_yaml(tmp_path / path)


def test_a_base_is_relative_absolute_or_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder, seed in (("home", 1), ("other", 2), ("here", 3)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "base.yaml", f"SEED: {seed}\nSOLVER: {{MAX_ITER: 7, STEPS: [1]}}")
    for base, seed in (("~/base.yaml", 1), (tmp_path / "other/base.yaml", 2), ("base.yaml", 3), ("../home/base.yaml", 1)):
        path = write(tmp_path / "here/c.yaml", f"_BASE_: {base}\nSOLVER: {{MAX_ITER: 9}}")
        assert read_config(path) == {"SEED": seed, "SOLVER": {"MAX_ITER": 9, "STEPS": [1]}}


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("gone.yaml", r"_BASE_ of .*/c\.yaml: .*/gone\.yaml does not exist"),
        ("c.yaml", r"leads in a circle: c\.yaml -> c\.yaml"),
        ("one.yaml", r"leads in a circle: one\.yaml -> two\.yaml -> one\.yaml"),
        (".", "is a folder"),
        ("[one.yaml]", r"must be the name of one file, but is \['one.yaml'\]"),
        ("5", "must be the name of one file, but is 5"),
        ("", "must be the name of one file, but is None"),
        ("https://example.com/base.yaml", "is the address https://example.com/base.yaml: download that file"),
        ("code.yaml", r"code\.yaml is not valid YAML.*the tag !!python/object/apply:os\.getcwd"),
        ("binary.yaml", "is not a text file"),
        ("list.yaml", "must hold sections and keys"),
        ("value.yaml", r"SOLVER is a section in one of .*c\.yaml and its _BASE_, and a value in the other"),
    ],
)
def test_wrong_bases_are_one_sentence(tmp_path, base, message):
    for name, text in {
        **{"one.yaml": "_BASE_: two.yaml", "two.yaml": "_BASE_: one.yaml", "list.yaml": "[1]", "value.yaml": "SOLVER: 5"},
        **{"code.yaml": "a: !!python/object/apply:os.getcwd []", "binary.yaml": b"\x80\x81"},
    }.items():
        write(tmp_path / name, text)
    with pytest.raises(UserError, match=message):
        load_config(write(tmp_path / "c.yaml", f"_BASE_: {base}\nSOLVER: {{MAX_ITER: 1}}"))


def test_a_section_that_stands_twice_is_no_longer_dropped(tmp_path):
    base = REPOSITORY / "configs/toycity_mic.yaml"
    text = f"_BASE_: {base}\nSOLVER:\n  MAX_ITER: 3\nSOLVER:\n  CHECKPOINT_PERIOD: 50\n"
    with pytest.raises(UserError, match="'SOLVER' stands twice, in line 2 and here"):
        load_config(write(tmp_path / "c.yaml", text))
