"""`mic-det view`."""

from pathlib import Path

import click

from mic_det.cli.common import (
    TRAILING,
    config_beside,
    config_option,
    overrides_argument,
    path_option,
    weights_option,
    with_weights,
)
from mic_det.errors import UserError

EXAMPLES = """\b
Examples:
  mic-det view --weights output/toycity/model_final.pth --input FOLDER --output output/gallery.html
  mic-det view --weights output/toycity/model_final.pth --truth toycity_foggy_all_val --output output/errors.html
"""


@click.command("view", epilog=EXAMPLES, context_settings=TRAILING)
@config_option(required=False, words="Config file or name; default: the config.yaml beside the weights.")
@weights_option()
@click.option("--input", "source", metavar="PATH|NAME", help="Unlabelled images: folder, COCO JSON or registered dataset.")
@click.option("--truth", metavar="NAME", help="Labelled dataset, for diagnosis: right, wrong and missed pseudo boxes.")
@path_option("--output", words="HTML file to write.", required=True)
@click.option("--count", type=int, default=24, show_default=True, help="Number of images.")
@overrides_argument()
def command(
    config: str | None,
    weights: str | None,
    source: str | None,
    truth: str | None,
    output: Path,
    count: int,
    overrides: tuple[str, ...],
) -> int:
    """Make an HTML gallery of pseudo-labels, masked inputs and the student's predictions; with --truth also of what is right."""
    from mic_det.engine.run import load_model
    from mic_det.engine.setup import open_config
    from mic_det.outputs import refuse_overwrite, refuse_unwritable
    from mic_det.tasks import task_of

    if bool(source) == bool(truth):
        raise UserError("Give one of --input, for unlabelled images, and --truth, for a labelled dataset.")
    config = config or config_beside(weights)
    cfg = open_config(config, with_weights(weights, overrides))
    refuse_overwrite([name for name in (config, source, cfg.MODEL.WEIGHTS) if name], [output])
    refuse_unwritable(output.parent)
    model = load_model(cfg, cfg.MODEL.WEIGHTS)
    unreadable = task_of(cfg).gallery(cfg, model, output, source, truth, count)
    for name in unreadable:
        click.echo(f"unreadable: {name}")
    click.echo(f"Wrote {output}.")
    return 1 if unreadable else 0
