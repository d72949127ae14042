#!/usr/bin/env python
"""Write the teacher or student as ONNX or TorchScript, and check that the file repeats what it says.

python tools/export_model.py --config-file configs/toycity.yaml --output model.onnx MODEL.WEIGHTS output/toycity/model_final.pth
"""

import argparse
from pathlib import Path

import numpy as np

from mic_det.checkpoint.export import SUFFIXES, export
from mic_det.config import num_classes
from mic_det.data.catalog import class_names
from mic_det.data.images import named, read_image
from mic_det.data.stream import READ_ERRORS
from mic_det.engine.run import load_model
from mic_det.engine.setup import open_config
from mic_det.errors import UserError
from mic_det.outputs import refuse_overwrite, refuse_unwritable
from mic_det.tasks import task_of
from mic_det.tooling import run_tool

NOISE = (512, 1024, 3)


def example_image(cfg, path):
    """The image, or noise, as the network takes it: 3xHxW uint8."""
    if path is None:
        return task_of(cfg).network_input(cfg, np.random.default_rng(0).integers(0, 256, NOISE, dtype=np.uint8))
    try:
        return task_of(cfg).network_input(cfg, read_image(path, cfg.INPUT.FORMAT, cfg.INPUT.RANGE))
    except READ_ERRORS as error:
        raise UserError(f"--image {named(path, error)}.") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--output", required=True, help="file to write; FILE.json beside it describes inputs and classes")
    parser.add_argument("--format", choices=sorted(SUFFIXES), default="onnx")
    parser.add_argument("--model", choices=("teacher", "student"), help="default: MODEL.MIC.INFERENCE")
    parser.add_argument("--image", help="image to trace and check with (default: noise); all but detectors take no other size")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="MODEL.WEIGHTS and other overrides")
    args = parser.parse_intermixed_args()
    cfg = open_config(args.config_file, [*args.overrides, "MODEL.DEVICE", "cpu"])
    refuse_overwrite([args.config_file, args.image, cfg.MODEL.WEIGHTS], [args.output, f"{args.output}.json"])
    refuse_unwritable(Path(args.output).parent)
    task, name, image = task_of(cfg), args.model or cfg.MODEL.MIC.INFERENCE, example_image(cfg, args.image)
    answers = task.answers(cfg)
    metadata = {
        "classes": class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg)),
        "channel_order": cfg.INPUT.FORMAT,
        **task.input_sizes(cfg),
        "input": [3, None, None] if answers.any_size else list(image.shape),
        "model": name,
    }
    network = load_model(cfg, cfg.MODEL.WEIGHTS).network(name)
    difference = export(network, answers, args.output, args.format, image, metadata)
    print(f"Wrote {args.output}; its {', '.join(answers.names)} differ from the {name}'s by at most {difference:.2g}.")


if __name__ == "__main__":
    run_tool(main)
