"""What a number was computed on."""

import datetime
import os
import platform
from pathlib import Path

import torch


def machine() -> str:
    """The conditions every reported number carries: GPU or processor, versions of Python and torch, the day."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores of {processor}"
    return f"{device}, Python {platform.python_version()}, torch {torch.__version__}, {datetime.date.today()}"
