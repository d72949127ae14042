"""The command `mic-det`: one module for each verb, imported when the verb runs. Nothing here needs torch."""

import importlib
import sys

import click

from mic_det import __version__
from mic_det.tooling import run_tool

# verb -> what it does, in the order of `mic-det --help`
VERBS = {
    "demo": "Render ToyCity, train source-only and MIC on it, and write a report.",
    "adapt": "Adapt your detector to a folder of unlabelled images.",
    "train": "Train a config.",
    "evaluate": "Evaluate a model, or detections in COCO's format.",
    "predict": "Predict on an image, a folder of images or a video.",
    "check": "Look at datasets before training: classes, sizes, files, faults.",
    "doctor": "Look at the installation: versions, device, extras, datasets.",
    "configs": "List, show and copy the configs that come with mic-det.",
    "view": "Make a gallery of pseudo-labels, masked inputs and predictions.",
    "compare": "Put several runs into one report.",
    "convert": "Convert checkpoints between mic-det, detectron2 and published code.",
    "export": "Write teacher or student for use without mic-det.",
    "text-bank": "Make the class embeddings that LC-MSM trains with.",
    "prepare": "Convert or render a dataset.",
    "study": "Repeat a benchmark's methods over several seeds.",
    "benchmark": "Time a training step and its parts.",
    "install-detectron2": "Install detectron2, which the package index does not have.",
}
EXAMPLES = """\b
Examples:
  mic-det doctor
  mic-det demo
  mic-det configs ls cs2foggy
  mic-det train --config cs2foggy_mic OUTPUT_DIR output/fog
  mic-det predict --weights output/fog/model_final.pth --input street.jpg --output output/predictions

\b
Words after the options are config keys and values, as in: SOLVER.MAX_ITER 1000.
Exit status: 0 well, 1 an error or a failed check, 2 wrong usage, 130 stopped by Ctrl-C.
Completion of verbs, options and config names, for bash (zsh and fish alike):
  eval "$(_MIC_DET_COMPLETE=bash_source mic-det)"
"""


class Verbs(click.Group):
    """A group that imports the module of the verb that runs: `text-bank` is `command` in `cli/text_bank.py`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb; None if there is no such verb."""
        if cmd_name not in VERBS:
            return None
        return importlib.import_module(f"mic_det.cli.{cmd_name.replace('-', '_')}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs in the help without importing their modules."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mic-det")
def group() -> None:
    """Unsupervised domain adaptation for detectron2. `mic-det VERB --help` has the options of a verb, and examples."""


def main(arguments: list[str] | None = None) -> None:
    """Run `mic-det` with `arguments`, by default those of the process, and end it; see `run_tool` for the exit status."""
    run_tool(lambda: run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run `mic-det` and return the exit status of what went well or was wrong usage; errors of the verb itself are raised."""
    try:
        status = group.main(arguments, prog_name="mic-det", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(sys.stdout)
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return status or 0
