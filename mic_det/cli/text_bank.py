"""`mic-det text-bank`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mic_det.cli.common import path_option

EXAMPLES = """\b
Examples:
  mic-det text-bank --classes cityscapes --weights open_clip_pytorch_model.bin --output text_bank_cityscapes.pth
  mic-det text-bank --classes camvid --weights all-MiniLM-L6-v2 --output camvid_minilm.pth
  mic-det text-bank --classes road --classes car --weights FOLDER --alias car=vehicle --output bank.pth
"""


class Alias(click.ParamType):
    """CLASS=WORD."""

    name = "CLASS=WORD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """(class, word)."""
        name, separator, word = value.partition("=")
        if not (name and separator and word):
            self.fail(f"'{value}' is not CLASS=WORD, e.g. person=pedestrian", param, ctx)
        return name, word


class Template(click.ParamType):
    """A sentence with {name} in it."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The sentence itself."""
        if "{name}" not in value:
            self.fail(f"'{value}' does not say where the {{name}} goes, e.g. 'a photo of a {{name}}.'", param, ctx)
        return str(value)


@click.command("text-bank", epilog=EXAMPLES)
@click.option("--classes", required=True, multiple=True, help="Name, in the labels' order, as often as needed; or cityscapes or camvid.")
@click.option("--weights", required=True, help="open_clip checkpoint, or folder of transformers or sentence-transformers.")
@click.option("--model", default="ViT-H-14", show_default=True, help="open_clip's name of the architecture.")
@click.option("--tag", default="", help="Name of the weights to note in the bank; default: the file's, if it is one.")
@click.option("--template", type=Template(), multiple=True, help="Sentence with {name} in it; several are averaged.")
@click.option("--alias", type=Alias(), multiple=True, help="Word to use for a class; as often as needed.")
@path_option("--output", words="File to write.", required=True)
def command(
    classes: Sequence[str],
    weights: str,
    model: str,
    tag: str,
    template: Sequence[str],
    alias: Sequence[tuple[str, str]],
    output: Path,
) -> None:
    """Make a text bank, the class embeddings that LC-MSM trains with, from a text encoder in local files."""
    from mic_det.data.camvid import SEMANTIC_CLASSES
    from mic_det.data.label_ids import CLASSES
    from mic_det.language.text_encoder import ALIASES, TEMPLATE, make_bank
    from mic_det.outputs import refuse_overwrite, refuse_unwritable

    lists = {"cityscapes": CLASSES, "camvid": SEMANTIC_CLASSES}
    names = lists.get(classes[0], classes) if len(classes) == 1 else classes
    refuse_overwrite(Path(weights).rglob("*") if Path(weights).is_dir() else [weights], [output])
    refuse_unwritable(output.parent)
    bank = make_bank(names, weights, model, tag, list(template or [TEMPLATE]), {**ALIASES, **dict(alias)})
    bank.save(output)
    for name, prompts in zip(bank.classes, bank.prompts, strict=True):
        click.echo(f"{name}: {'; '.join(prompts)}")
    click.echo(f"Wrote {output}: {bank}.")
