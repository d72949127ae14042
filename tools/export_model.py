#!/usr/bin/env python
"""Write the teacher or student as ONNX or TorchScript, and check that the file repeats its boxes and scores.

python tools/export_model.py --config-file configs/toycity.yaml --output model.onnx MODEL.WEIGHTS output/toycity/model_final.pth
"""

import argparse

import cv2
import numpy as np
import torch
from detectron2.data import transforms as T

from mic_det.checkpoint.export import SUFFIXES, export
from mic_det.config import num_classes
from mic_det.data.catalog import class_names
from mic_det.engine.run import load_model
from mic_det.engine.setup import open_config
from mic_det.errors import UserError
from mic_det.tooling import run_tool


def example_image(cfg, path):
    """The image, or noise of the test size, as the network takes it: 3xHxW uint8."""
    if path is None:
        size = (cfg.INPUT.MIN_SIZE_TEST, min(2 * cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST), 3)
        image = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    else:
        image = cv2.imread(path)
        if image is None:
            raise UserError(f"--image {path} cannot be read.")
        image = image[..., ::-1] if cfg.INPUT.FORMAT == "RGB" else image
        image = (
            T.ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST] * 2, cfg.INPUT.MAX_SIZE_TEST).get_transform(image).apply_image(image)
        )
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--output", required=True, help="file to write; FILE.json beside it describes inputs and classes")
    parser.add_argument("--format", choices=sorted(SUFFIXES), default="onnx")
    parser.add_argument("--model", choices=("teacher", "student"), default="teacher")
    parser.add_argument("--image", help="image to trace and check with; random noise by default")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="MODEL.WEIGHTS and other overrides")
    args = parser.parse_intermixed_args()
    cfg = open_config(args.config_file, [*args.overrides, "MODEL.DEVICE", "cpu"])
    metadata = {
        "classes": class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg)),
        "channel_order": cfg.INPUT.FORMAT,
        "short_side": cfg.INPUT.MIN_SIZE_TEST,
        "longest_side": cfg.INPUT.MAX_SIZE_TEST,
        "model": args.model,
    }
    if cfg.MODEL.META_ARCHITECTURE != "MaskedConsistencyDetector":
        raise UserError("Only detectors can be exported to a file that runs without mic-det.")
    detector = load_model(cfg, cfg.MODEL.WEIGHTS).network(args.model)
    difference = export(detector, args.output, args.format, example_image(cfg, args.image), metadata)
    print(f"Wrote {args.output}; boxes and scores differ from the {args.model}'s by at most {difference:.2g}.")


if __name__ == "__main__":
    run_tool(main)
