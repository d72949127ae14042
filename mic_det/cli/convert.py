"""`mic-det convert`."""

from pathlib import Path
from typing import Literal

import click

from mic_det.cli.common import TRAILING, config_option, overrides_argument
from mic_det.errors import UserError

EXAMPLES = """\b
Examples:
  mic-det convert model_final.pth mic.pth                                # any layout to mic-det's
  mic-det convert published.pth mic.pth --teacher-file published_teacher.pth
  mic-det convert mic.pth plain.pth --teacher --config cs2foggy          # and plain.yaml
  mic-det convert mic.pth published.pth --student --published
"""


@click.command("convert", epilog=EXAMPLES, context_settings=TRAILING)
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@click.option("--teacher", "model", flag_value="teacher", help="Write the teacher alone.")
@click.option("--student", "model", flag_value="student", help="Write the student alone.")
@click.option("--published", is_flag=True, help="Write the published code's layout.")
@click.option("--teacher-file", metavar="FILE", help="Take the teacher from this second file.")
@config_option(
    required=False,
    words="Check the result against this model; with --teacher or --student also write a config for detectron2's own tools, "
    "for a published detector one with its box arithmetic.",
)
@click.option("--allow-unmatched", is_flag=True, help="Go on when entries have no counterpart.")
@overrides_argument()
def command(
    input: str,
    output: str,
    model: Literal["teacher", "student"] | None,
    published: bool,
    teacher_file: str | None,
    config: str | None,
    allow_unmatched: bool,
    overrides: tuple[str, ...],
) -> None:
    """Convert INPUT, a checkpoint of mic-det, plain detectron2, the published MIC code or torchvision, to the .pth file OUTPUT.

    Whatever has no counterpart is listed and refused.
    """
    from mic_det.checkpoint import conversion, files
    from mic_det.engine.setup import open_config
    from mic_det.outputs import write_text

    companion_file = Path(output).with_suffix(".yaml")
    refuse_existing(output)
    if config and model and not published:
        refuse_existing(companion_file)
    if published:
        head = open_config(config, overrides).MODEL.SEM_SEG_HEAD.NAME if config else None
        state = conversion.published_checkpoint(input, model or "student", allow_unmatched, head)
    elif model:
        state = conversion.plain_checkpoint(input, model, allow_unmatched)
    else:
        state = conversion.mic_checkpoint(input, teacher_file, allow_unmatched)
    if config and not published:
        cfg = conversion.with_legacy_boxes(open_config(config, overrides), state)
        conversion.check_fit(cfg, state, allow_unmatched)
        companion = conversion.stock_config(cfg, output) if model else conversion.legacy_config(cfg, output)
        if companion:
            refuse_existing(companion_file)
            write_text(companion_file, companion.dump())
            click.echo(f"Wrote {companion_file}.")
    elif conversion.has_legacy_boxes(state):
        click.echo("Set MODEL.MIC.REFERENCE.LEGACY_BOXES True with this checkpoint: it brings its own anchors.")
    files.save_tensors(output, {"model": state})
    click.echo(f"Wrote {len(state)} entries to {output}.")


def refuse_existing(path: str | Path) -> None:
    """Raise UserError when there is something at `path`."""
    if Path(path).exists():
        raise UserError(f"{path} exists already: choose another name.")
