#!/usr/bin/env python
"""Install detectron2, which has no release on the Python package index; the same as `mic-det install-detectron2`.

    python tools/install_detectron2.py                          # from the package index, no compiler needed
    python tools/install_detectron2.py --source git [--ref TAG] # from GitHub, compiled (needs git, a C++ compiler, torch)

A detectron2 that already imports is kept.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it also runs before mic-det is installed

from mic_det.installation.detectron2 import install
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=("index", "git"), default="index")
    parser.add_argument("--ref", help="branch, tag or commit for --source git")
    print(install(**vars(parser.parse_args())))


if __name__ == "__main__":
    run_tool(main)
