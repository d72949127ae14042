"""`mic-det predict`."""

import click

from mic_det.cli.common import (
    TRAILING,
    answer,
    config_beside,
    config_option,
    json_option,
    overrides_argument,
    stdout_for_answer,
    weights_option,
    with_weights,
)

EXAMPLES = """\b
Examples:
  mic-det predict --weights output/toycity/model_final.pth --input street.jpg --output output/predictions
  mic-det predict --config my.yaml --weights my.pth --input clip.mp4 --output output/clip --min-score 0.3
"""


@click.command("predict", epilog=EXAMPLES, context_settings=TRAILING)
@config_option(required=False, words="Config file or name; default: the config.yaml beside the weights.")
@weights_option()
@click.option("--input", "source", required=True, metavar="PATH", help="Image, folder of images or video.")
@click.option("--output", required=True, metavar="FOLDER", help="Folder to write.")
@click.option("--min-score", type=float, default=0.5, show_default=True, help="Least score that is drawn; the JSON holds all.")
@click.option("--hrda-out", type=click.Choice(("lr", "hr", "att")), help="HRDA: context or details alone, or the attention.")
@click.option("--flat", is_flag=True, help="Segmentation: write all images of a kind to one folder.")
@json_option()
@overrides_argument()
def command(
    config: str | None,
    weights: str | None,
    source: str,
    output: str,
    min_score: float,
    hrda_out: str | None,
    flat: bool,
    as_json: bool,
    overrides: tuple[str, ...],
) -> int:
    """Detect objects in, label every pixel of, or classify an image, a folder of images or a video.

    Detection writes drawn images (or a video), detections.json in COCO's results format, and images.json, which names its image
    ids. Segmentation writes one folder each of overlays, colours, training classes and, for the 19 Cityscapes classes, label
    ids. Classification writes predictions.csv with the five best classes of every image.
    """
    from mic_det.engine.run import load_model
    from mic_det.engine.setup import open_config
    from mic_det.tasks import task_of

    hrda = ("MODEL.HRDA.OUTPUT", hrda_out) if hrda_out else ()
    with stdout_for_answer(as_json):
        cfg = open_config(config or config_beside(weights), (*with_weights(weights, overrides), *hrda))
        model = load_model(cfg, cfg.MODEL.WEIGHTS)
        count, unreadable = task_of(cfg).predict(cfg, model, source, output, min_score, flat)
    if as_json:
        answer({"images": count, "unreadable": unreadable, "output": output})
    else:
        for name in unreadable:
            click.echo(f"unreadable: {name}")
        click.echo(f"{count} images written to {output}")
    return 1 if unreadable else 0
