"""`mic-det export`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mic_det.cli.common import (
    TRAILING,
    config_beside,
    config_option,
    overrides_argument,
    weights_option,
    with_weights,
)
from mic_det.errors import UserError

if TYPE_CHECKING:
    import torch
    from detectron2.config import CfgNode

FORMATS = ("onnx", "torchscript", "safetensors", "hub")
NOISE = (512, 1024, 3)
EXAMPLES = """\b
Examples:
  mic-det export --weights output/toycity/model_final.pth --output model.onnx
  mic-det export --weights output/toycity/model_final.pth --format torchscript --output model.ts --image street.jpg
  mic-det export --weights output/toycity/model_final.pth --format hub --output my-detector
"""


@click.command("export", epilog=EXAMPLES, context_settings=TRAILING)
@config_option(required=False, words="Config file or name; default: the config.yaml beside the weights.")
@weights_option()
@click.option("--output", required=True, metavar="FILE", help="File to write; FILE.json beside it describes inputs and classes.")
@click.option("--format", "kind", type=click.Choice(FORMATS), default="onnx", show_default=True)
@click.option("--model", type=click.Choice(("teacher", "student")), help="Default: MODEL.MIC.INFERENCE.")
@click.option(
    "--image", metavar="FILE", help="Image to trace and check with (default: noise); all but detectors take no other size."
)
@overrides_argument()
def command(
    config: str | None,
    weights: str | None,
    output: str,
    kind: str,
    model: str | None,
    image: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Write the teacher or student for use elsewhere.

    ONNX and TorchScript files run without mic-det and are checked to repeat what the network says. safetensors holds the weights
    alone; hub is a folder with weights, config, labels and a model card that `mic_det.load` reads and huggingface_hub can upload.
    """
    from mic_det.checkpoint.export import export
    from mic_det.config import num_classes
    from mic_det.data.catalog import class_names
    from mic_det.engine.run import load_model
    from mic_det.engine.setup import open_config
    from mic_det.outputs import refuse_overwrite, refuse_unwritable
    from mic_det.tasks import task_of

    config = config or config_beside(weights)
    cfg = open_config(config, [*with_weights(weights, overrides), "MODEL.DEVICE", "cpu"])
    refuse_overwrite([name for name in (config, image, cfg.MODEL.WEIGHTS) if name], [output, f"{output}.json"])
    refuse_unwritable(Path(output).parent)
    if kind in ("safetensors", "hub"):
        write_weights(cfg, model or cfg.MODEL.MIC.INFERENCE, output, kind)
        return
    task, name, example = task_of(cfg), model or cfg.MODEL.MIC.INFERENCE, example_image(cfg, image)
    answers = task.answers(cfg)
    metadata = {
        "classes": class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg)),
        "channel_order": cfg.INPUT.FORMAT,
        **task.input_sizes(cfg),
        "input": [3, None, None] if answers.any_size else list(example.shape),
        "model": name,
    }
    network = load_model(cfg, cfg.MODEL.WEIGHTS).network(name)
    difference = export(network, answers, output, kind, example, metadata)
    click.echo(f"Wrote {output}; its {', '.join(answers.names)} differ from the {name}'s by at most {difference:.2g}.")


def write_weights(cfg: "CfgNode", name: str, output: str, kind: str) -> None:
    """Write the weights of the network called `name`, with `kind` hub as a folder."""
    from mic_det.checkpoint import hub
    from mic_det.config import num_classes
    from mic_det.data.catalog import class_names
    from mic_det.engine.run import load_model

    network = load_model(cfg, cfg.MODEL.WEIGHTS).network(name)
    if kind == "safetensors":
        hub.save_safetensors(network, output)
    else:
        classes = class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg))
        results = [entry for entry in hub.results_beside(cfg.MODEL.WEIGHTS) if entry["model"] == name]
        hub.save_hub(output, cfg, network, classes, results)
    click.echo(f"Wrote {output}.")


def example_image(cfg: "CfgNode", path: str | None) -> "torch.Tensor":
    """The image, or noise, as the network takes it: 3xHxW uint8.

    Raises:
        UserError: when the image cannot be read.
    """
    import numpy as np

    from mic_det.data.images import named, read_image
    from mic_det.data.stream import READ_ERRORS
    from mic_det.tasks import task_of

    if path is None:
        return task_of(cfg).network_input(cfg, np.random.default_rng(0).integers(0, 256, NOISE, dtype=np.uint8))
    try:
        return task_of(cfg).network_input(cfg, read_image(path, cfg.INPUT.FORMAT, cfg.INPUT.RANGE))
    except READ_ERRORS as error:
        raise UserError(f"--image {named(path, error)}.") from None
