"""`mic-det adapt`."""

from pathlib import Path

import click

from mic_det.cli.common import TRAILING, overrides_argument, path_option

EXAMPLES = """\b
Example:
  mic-det adapt --weights my_detector.pth --config my_detectron2.yaml --target night/ \\
    --source labels.json --source-images day/ --test night_labels.json --output output/night
"""


@click.command("adapt", epilog=EXAMPLES, context_settings=TRAILING)
@path_option("--weights", required=True, words="Checkpoint of the trained detector, detectron2's or mic-det's.")
@click.option("--config", "--config-file", "config", required=True, help="Its config, e.g. detectron2's.")
@click.option("--target", required=True, help="Folder of unlabelled images; or a COCO JSON or registered data set.")
@click.option("--source", help="COCO JSON or registered data set with labels, as the detector was trained with.")
@path_option("--source-images", words="Folder of the source's images; default: the JSON's own, or its parent.")
@click.option("--classes", help="The detector's classes in its order, e.g. car,person; default: the source's.")
@click.option("--test", help="COCO JSON or registered data set with labels of the target, for the evaluation at the end.")
@path_option("--output", required=True, words="Folder of the run; adapt.yaml in it is the config that was used.")
@click.option("--iterations", type=click.IntRange(1), help="Length of the adaptation; default: 3000.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the output folder.")
@click.option("--device", help="cpu, cuda, cuda:1 or mps; default: the config's, and the CPU where there is no GPU.")
@overrides_argument()
def command(
    weights: Path,
    config: str,
    target: str,
    source: str | None,
    source_images: Path | None,
    classes: str | None,
    test: str | None,
    output: Path,
    iterations: int | None,
    resume: bool,
    device: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Adapt your detector to a folder of unlabelled images.

    Your config stays as it is but for data and schedule: a constant learning rate, the config's after its first decay
    (BASE_LR * GAMMA), and no burn-in, because your detector is trained already. KEY VALUE pairs at the end have the last word.
    """
    from mic_det.api import adapt

    adapt(
        weights=weights,
        config=config,
        target=target,
        source=source,
        source_images=source_images,
        classes=[name.strip() for name in classes.split(",")] if classes else None,
        test=test,
        output=output,
        iterations=iterations,
        resume=resume,
        device=device,
        overrides=overrides,
    )
    click.echo(f"Adapted: {output / 'model_final.pth'}; pictures and curves: {output / 'report.html'}")
