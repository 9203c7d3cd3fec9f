"""What a number was measured on."""

import os
import platform
from pathlib import Path

import torch

from gennas.machine import processor_name


def cpu_model() -> str:
    """The processor's name, family and model as Linux gives them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return f"{processor_name()} (family {fields.get('cpu family')}, model {fields.get('model')})"


def machine() -> str:
    """Processor, cores and versions in one line."""
    return f"{cpu_model()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
