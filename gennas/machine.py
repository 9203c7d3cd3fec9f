"""Name of the machine that a number was computed or measured on."""

import os
import platform
from functools import cache
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


@cache
def processor_name() -> str:
    """The processor as Linux reports it; elsewhere as Python does."""
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    fields = ((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    named = next((value for name, value in fields if name == "model name"), "")
    return named or platform.processor() or platform.machine()


def machine_name() -> str:
    """Processor and number of CPUs."""
    return f"{processor_name()}, {os.cpu_count()} CPUs"
