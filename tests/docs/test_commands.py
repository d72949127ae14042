"""Every command that the documentation shows exists, with the options, configs and keys that it is shown with."""

import argparse
import importlib
import re
import runpy
import sys
from unittest import mock

import click
import pytest

import mic_det
from mic_det.cli import group
from mic_det.config import known_keys
from tests.conftest import REPOSITORY
from tests.docs.blocks import BLOCKS

SHELL = [block for block in BLOCKS if block.language in ("bash", "console", "sh")]
# Files that stand for the reader's own.
OWN = re.compile(r"^(my_|output/|/data/)|\.pth$")


def test_there_is_no_block_that_the_tests_do_not_know():
    assert {block.language for block in BLOCKS} <= {"bash", "python", "yaml", "text"}
    assert len(SHELL) > 15


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_are_as_shown(block):
    for words in block.commands:
        check(words)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_compiles(block):
    compile(block.text, str(block), "exec")


def check(words):
    """Fail unless this command would be understood."""
    program, arguments = words[0], [word for word in words[1:] if word != "..."]
    if program == "torchrun":
        start = next(number for number, word in enumerate(arguments) if word == "-m" or word.endswith(".py"))
        program, arguments = "python", arguments[start:]
    if program == "python" and arguments[:2] == ["-m", "mic_det"]:
        program, arguments = "mic-det", arguments[2:]
    if program == "mic-det":
        check_verb(arguments)
    elif program == "python":
        check_script(arguments[0], arguments[1:])
    elif program == "make":
        for target in (word for word in arguments if "=" not in word):
            assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.M), target
    elif program == "pip":
        for extra in re.findall(r"[\w-]+", " ".join(re.findall(r"\[(.+?)\]", " ".join(arguments)))):
            assert f'"{extra}": [' in (REPOSITORY / "setup.py").read_text(), extra
    else:
        assert program in ("cd", "git"), program


def check_verb(arguments):
    """A verb of mic-det, by its click command; a dataset to prepare, by its argparse parser."""
    if arguments[0] == "prepare":
        module = importlib.import_module(f"mic_det.cli.prepare.{arguments[1].replace('-', '_')}")
        parser_of(lambda: module.main([], "prepare")).parse_args(arguments[2:])
        return
    context, command = click.Context(group, info_name="mic-det"), group
    while isinstance(command, click.Group) and arguments:
        verb, arguments = arguments[0], arguments[1:]
        command = command.get_command(context, verb)
        assert command is not None, f"mic-det has no verb {verb}"
    with mock.patch.object(click.Path, "convert", lambda self, value, parameter, context: value):
        values = command.make_context(command.name, list(arguments)).params
    check_settings(values.get("config"), list(values.get("overrides") or ()))


def check_script(script, arguments):
    """One of the repository's scripts, by its argparse parser."""
    with mock.patch.object(sys, "argv", [script]):
        parser = parser_of(lambda: runpy.run_path(str(REPOSITORY / script), run_name="__main__"))
    values = parser.parse_intermixed_args(arguments)
    overrides = getattr(values, "overrides", None) or getattr(values, "options", None) or []
    check_settings(getattr(values, "config_file", None) or getattr(values, "config", None), list(overrides))


def parser_of(run):
    """The parser that a function makes, taken when it is about to be used."""

    class Caught(Exception):
        pass

    def catch(parser, *_, **__):
        raise Caught(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", catch), pytest.raises(Caught) as caught:
        run()
    return caught.value.args[0]


def check_settings(config, overrides):
    """A config must exist and take the overrides; of the reader's own config, the keys must be known."""
    if config and not OWN.search(str(config)):
        mic_det.load_config(config, overrides)
    else:
        known = set(known_keys(mic_det.load_config("toycity")))
        assert len(overrides) % 2 == 0 and set(overrides[::2]) <= known, overrides
