"""`mic-det prepare`: one module for each dataset, whose `main` reads the options. `datasets/prepare_*.py` are the same."""

import importlib

import click

# name -> what is prepared, in the order of the help
DATASETS = {
    "cityscapes": "Cityscapes and Foggy Cityscapes, boxes",
    "bdd100k": "BDD100K by day, night or dusk, boxes",
    "sim10k": "Sim10k, boxes",
    "kitti": "KITTI, boxes",
    "voc": "PASCAL VOC, Clipart1k, Watercolor2k, Comic2k, boxes",
    "camvid": "CamVid by day and at dusk, boxes",
    "cityscapes-seg": "Cityscapes, segmentation",
    "gta-seg": "GTA5, segmentation",
    "synthia-seg": "SYNTHIA, segmentation",
    "acdc-seg": "ACDC, segmentation",
    "darkzurich-seg": "Dark Zurich, segmentation",
    "camvid-seg": "CamVid by day and at dusk, segmentation",
    "toycity": "ToyCity, rendered: streets in clear air and fog, boxes",
    "toycity-seg": "ToyCity, rendered: synthetic and real style, segmentation",
    "toycity-cls": "ToyCity, rendered: single objects, classification",
}
EXAMPLES = """\b
Examples:
  mic-det prepare toycity --root datasets/toycity
  mic-det prepare cityscapes --root datasets/cityscapes --foggy 0.02
  mic-det prepare voc --help
"""


class Datasets(click.Group):
    """A group with a command for every dataset, which hands its words to the `main` of the dataset's module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The datasets, in the order of the help."""
        return list(DATASETS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a dataset; None if there is none."""
        name = cmd_name.replace("_", "-")
        if name not in DATASETS:
            return None
        argument = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)

        def prepare(words: tuple[str, ...]) -> int:
            module = importlib.import_module(f"mic_det.cli.prepare.{name.replace('-', '_')}")
            return int(module.main(list(words), f"mic-det prepare {name}"))

        return click.Command(
            name=name,
            context_settings={"ignore_unknown_options": True},
            callback=prepare,
            params=[argument],
            help=DATASETS[name],
            add_help_option=False,
        )


@click.command("prepare", cls=Datasets, epilog=EXAMPLES)
def command() -> None:
    """Convert or render a dataset: annotations, label images and class statistics that training reads."""
