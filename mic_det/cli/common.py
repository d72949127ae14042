"""What the verbs share: options, config keys at the end, answers for programs, and quiet libraries."""

import contextlib
import difflib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from mic_det.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])
# Words after the options may begin with a minus: SOLVER.BASE_LR -1. What looks like a long option is refused by `overrides_of`.
TRAILING = {"ignore_unknown_options": True}


def complete_config(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the library's configs, and files."""
    from mic_det.library import names

    found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def config_option(
    required: bool = True, words: str = "Config file, or a name that `mic-det configs ls` lists."
) -> Callable[[F], F]:
    """`--config`, also called `--config-file`."""
    return click.option(
        *("--config", "--config-file", "config"),
        required=required,
        metavar="FILE|NAME",
        help=words,
        shell_complete=complete_config,
    )


def weights_option(
    words: str = "Checkpoint, or the folder of a run for its last one; the same as MODEL.WEIGHTS FILE at the end.",
) -> Callable[[F], F]:
    """`--weights`."""
    return click.option("--weights", metavar="PATH", help=words)


def path_option(*names: str, words: str, required: bool = False, default: Path | None = None) -> Callable[[F], F]:
    """An option whose value is a path."""
    return click.option(
        *names, required=required, default=default, show_default=default is not None, type=click.Path(path_type=Path), help=words
    )


def json_option() -> Callable[[F], F]:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON; everything else goes to stderr.")


def overrides_argument() -> Callable[[F], F]:
    """Config keys and values after the options. The command needs `context_settings=TRAILING`."""
    return click.argument("overrides", nargs=-1, metavar="[KEY VALUE]...", type=click.UNPROCESSED, callback=overrides_of)


def overrides_of(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words themselves.

    Raises:
        click.NoSuchOption: for an option that the command does not have.
    """
    known = [name for option in ctx.command.params for name in option.opts if name.startswith("--")]
    for word in words:
        if word.startswith("--"):
            name = word.partition("=")[0]
            raise click.NoSuchOption(name, possibilities=difflib.get_close_matches(name, known), ctx=ctx)
    return words


def with_weights(weights: str | None, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Overrides that begin with MODEL.WEIGHTS where weights are given: a file, or the folder of a run."""
    return ("MODEL.WEIGHTS", file_of(weights), *overrides) if weights else overrides


def file_of(weights: str) -> str:
    """The weights themselves, or of a folder the run's last checkpoint. Raises UserError when it holds none."""
    if not Path(weights).is_dir():
        return weights
    from mic_det.api.loading import weight_file

    return str(weight_file(weights))


def config_beside(weights: str | None) -> str:
    """The `config.yaml` that a run writes beside its checkpoints.

    Raises:
        UserError: when there is none.
    """
    if not weights:
        raise UserError("--config is missing: name a config file, or a name that `mic-det configs ls` lists.")
    file = Path(file_of(weights))
    if not file.exists():
        raise UserError(f"--weights: there is no {file}.")
    path = file.with_name("config.yaml")
    if not path.is_file():
        raise UserError(f"--config is missing, and there is no {path} that --weights could have been trained with.")
    return str(path)


def answer(content: object) -> None:
    """Print JSON; NaN, which JSON has not, becomes null."""
    click.echo(json.dumps(without_nan(content), indent=1, default=str))


def without_nan(content: Any) -> Any:
    """Nested dictionaries and lists with None for NaN."""
    if isinstance(content, dict):
        return {str(key): without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and content != content else content


@contextlib.contextmanager
def stdout_for_answer(as_json: bool) -> Iterator[None]:
    """Inside, what is printed goes to stderr when stdout is to hold JSON and nothing else."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield
