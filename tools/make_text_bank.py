#!/usr/bin/env python
"""Make a text bank, the class embeddings that LC-MSM trains with, from a text encoder in local files.

python tools/make_text_bank.py --classes cityscapes --weights open_clip_pytorch_model.bin
    --output pretrained/text_bank_cityscapes.pth
python tools/make_text_bank.py --classes camvid --weights all-MiniLM-L6-v2 --output configs/text_banks/camvid_minilm.pth
python tools/make_text_bank.py --classes road car "traffic light" --weights FOLDER --alias car=vehicle --output bank.pth
"""

import argparse
from pathlib import Path

from mic_det.cli.text_bank import command
from mic_det.language.text_encoder import ALIASES, TEMPLATE
from mic_det.tooling import run_tool


def alias(text):
    name, separator, word = text.partition("=")
    if not (name and separator and word):
        raise argparse.ArgumentTypeError(f"'{text}' is not CLASS=WORD, e.g. person=pedestrian")
    return name, word


def template(text):
    if "{name}" not in text:
        raise argparse.ArgumentTypeError(f"'{text}' does not say where the {{name}} goes, e.g. '{TEMPLATE}'")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", required=True, nargs="+", help="names in the labels' order, or cityscapes or camvid")
    parser.add_argument(
        "--weights", required=True, help="open_clip checkpoint, or folder of transformers or sentence-transformers"
    )
    parser.add_argument("--model", default="ViT-H-14", help="open_clip's name of the architecture (default ViT-H-14)")
    parser.add_argument("--tag", default="", help="name of the weights to note in the bank (default: the file's, if it is one)")
    parser.add_argument(
        "--template", type=template, nargs="+", default=[TEMPLATE], help=f"default '{TEMPLATE}'; several are averaged"
    )
    words = ", ".join(f"{name}={word}" for name, word in ALIASES.items())
    parser.add_argument("--alias", type=alias, nargs="+", default=[], metavar="CLASS=WORD", help=f"beside {words}")
    parser.add_argument("--output", required=True, type=Path)
    return command.callback(**vars(parser.parse_args()))


if __name__ == "__main__":
    run_tool(main)
