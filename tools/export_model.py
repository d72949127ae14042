#!/usr/bin/env python
"""Write the teacher or student as ONNX or TorchScript, and check that the file repeats what it says.

python tools/export_model.py --config-file configs/toycity.yaml --output model.onnx MODEL.WEIGHTS output/toycity/model_final.pth
"""

import argparse
from mic_det.cli.export import FORMATS, command
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", dest="config", required=True)
    parser.add_argument("--output", required=True, help="file to write; FILE.json beside it describes inputs and classes")
    parser.add_argument("--format", dest="kind", choices=FORMATS, default="onnx")
    parser.add_argument("--model", choices=("teacher", "student"), help="default: MODEL.MIC.INFERENCE")
    parser.add_argument("--image", help="image to trace and check with (default: noise); all but detectors take no other size")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="MODEL.WEIGHTS and other overrides")
    return command.callback(weights=None, **vars(parser.parse_intermixed_args()))


if __name__ == "__main__":
    run_tool(main)
