"""`mic-det install-detectron2`."""

import click

from mic_det.installation.detectron2 import install

EXAMPLES = """\b
Examples:
  mic-det install-detectron2                         # from the package index, no compiler needed
  mic-det install-detectron2 --source git --ref TAG  # from GitHub, compiled: needs git, a C++ compiler and torch
"""


@click.command("install-detectron2", epilog=EXAMPLES)
@click.option("--source", type=click.Choice(("index", "git")), default="index", show_default=True)
@click.option("--ref", metavar="REF", help="Branch, tag or commit for --source git.")
def command(source: str, ref: str | None) -> None:
    """Install detectron2, which has no release on the package index; one that already imports is kept.

    `index` takes the files of detectron2 0.6 out of a distribution that carries them. They have no compiled operators: rotated
    boxes and deformable convolutions need --source git.
    """
    click.echo(install(source, ref))
