"""`mic-det demo`."""

import click

from mic_det.cli.common import TRAILING, overrides_argument

EXAMPLES = """\b
Examples:
  mic-det demo                                 # detection, from clear air to fog: nine minutes on two CPU cores
  mic-det demo --task segmentation             # from synthetic streets to real ones
"""


@click.command("demo", epilog=EXAMPLES, context_settings=TRAILING)
@click.option("--task", type=click.Choice(("detection", "segmentation")), default="detection", show_default=True)
@click.option("--output", metavar="FOLDER", help="Folder to write; default output/demo or output/demo_seg.")
@overrides_argument()
def command(task: str, output: str | None, overrides: tuple[str, ...]) -> None:
    """Render ToyCity, train source-only and MIC on it, print one table and write report.html and summary.json.

    ToyCity goes to the folder that DETECTRON2_DATASETS names, by default ./datasets.
    """
    from mic_det.experiments.demo import DETECTION, SEGMENTATION, ensure_toycity, run_demo
    from mic_det.toycity.dataset import make_toycity, make_toycity_segmentation

    if task == "detection":
        demo, output = DETECTION, output or "output/demo"
        ensure_toycity(lambda root: make_toycity(root / "toycity"))
    else:
        demo, output = SEGMENTATION, output or "output/demo_seg"
        ensure_toycity(make_toycity_segmentation, "toycity_synthetic/sample_class_stats.json")
    _, table, page = run_demo(demo, output, overrides)
    click.echo(f"\n{table}\n\nPictures and curves: {page}")
