#!/usr/bin/env python
"""The same as `mic-det prepare bdd100k`."""

from mic_det.cli.prepare.bdd100k import main
from mic_det.tooling import run_tool

if __name__ == "__main__":
    run_tool(main)
