#!/usr/bin/env python
"""The same as `mic-det prepare camvid`."""

from mic_det.cli.prepare.camvid import main
from mic_det.tooling import run_tool

if __name__ == "__main__":
    run_tool(main)
