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


@pytest.mark.parametrize(
    ("processor", "flags", "saturates"),
    [
        ("x86_64", "avx2", True),
        ("AMD64", "avx512f avx512_vnni", False),
        ("x86_64", "avx2 avx_vnni", False),
        ("x86_64", None, False),
        ("aarch64", "asimd", False),
    ],
)
def test_sums_of_bytes_saturate_without_vnni(
    processor: str, flags: str | None, saturates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "machine", lambda: processor)
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"flags\t: {flags}\n")
    machine.sums_of_bytes_saturate.cache_clear()
    assert machine.sums_of_bytes_saturate() == saturates
    machine.sums_of_bytes_saturate.cache_clear()
