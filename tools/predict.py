#!/usr/bin/env python
"""Detect objects in, label every pixel of, or classify an image, a folder of images or a video.

    python tools/predict.py --config-file configs/toycity.yaml --input street.jpg --output output/predictions \
        MODEL.WEIGHTS output/toycity/model_final.pth

Detection writes drawn images (or a video), detections.json in COCO results format, and images.json, which names its image
ids. Segmentation writes one folder each of overlays, colours, training classes and, for the 19 Cityscapes classes, label ids.
Classification writes predictions.csv with the five best classes of every image.
"""

import argparse

from mic_det.cli.predict import command
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", dest="config", required=True)
    parser.add_argument("--input", dest="source", required=True, help="image, folder or video")
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--min-score", type=float, default=0.5, help="least score that is drawn; the JSON holds all")
    parser.add_argument("--hrda-out", choices=("lr", "hr", "att"), help="HRDA: context or details alone, or the attention")
    parser.add_argument("--flat", action="store_true", help="segmentation: write all images of a kind to one folder")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    return command.callback(weights=None, as_json=False, **vars(parser.parse_intermixed_args()))


if __name__ == "__main__":
    run_tool(main)
