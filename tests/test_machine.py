"""The machine's name."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from gennas import machine


def test_the_processor_is_named_as_linux_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "_CPU_INFO", listing)
    monkeypatch.setattr(platform, "processor", lambda: "")
    machine.processor_name.cache_clear()
    assert machine.processor_name() == platform.machine()
    listing.write_text(
        "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n\nprocessor\t: 1\nmodel name\t: Some CPU @ 2 GHz\n"
    )
    machine.processor_name.cache_clear()
    assert machine.machine_name() == f"Some CPU @ 2 GHz, {os.cpu_count()} CPUs"
    machine.processor_name.cache_clear()
