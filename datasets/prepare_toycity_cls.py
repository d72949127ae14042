#!/usr/bin/env python
"""The same as `mic-det prepare toycity-cls`."""

from mic_det.cli.prepare.toycity_cls import main
from mic_det.tooling import run_tool

if __name__ == "__main__":
    run_tool(main)
