#!/usr/bin/env python
"""The same as `mic-det prepare gta-seg`."""

from mic_det.cli.prepare.gta_seg import main
from mic_det.tooling import run_tool

if __name__ == "__main__":
    run_tool(main)
