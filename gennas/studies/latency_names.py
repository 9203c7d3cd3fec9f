"""Older studies, in which settings told how latency was measured, and now the name of the metric does.

``latency_ms@cpu`` was what the study's settings made of it, e.g. that of four threads; now it is that of one thread of
onnxruntime in float32, and the other is ``latency_ms@cpu-4threads``: values of both were taken for the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gennas.documents import parse_json
from gennas.errors import InvalidInputError
from gennas.hardware.target import Device, HardwareTarget


def renamed_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """A study's settings with names that tell how latency is measured, and of the settings for that only the batch."""
    latency = settings.get("latency")
    if not isinstance(latency, Mapping):
        return settings
    before, name = _names(latency)
    renamed = {**settings, "latency": {"batch": latency.get("batch", 1)}}
    if isinstance(objective := settings.get("objective"), str):
        renamed["objective"] = _renamed(objective, before, name)
    if isinstance(where := settings.get("where"), list):
        renamed["where"] = [_renamed(one, before, name) if isinstance(one, str) else one for one in where]
    return renamed


def renamed_rows(tables: dict[str, list[dict[str, Any]]], document: str, study: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a study's database under these names.

    Args:
        tables: table -> rows.
        document: the settings of the study as the database has them, JSON; empty where it does not know them: then its
            latencies are measured again if the names differ.
        study: its name.
    """
    try:
        latency = parse_json(document)["latency"] if document else None
    except (ValueError, LookupError, TypeError):
        latency = None
    if not isinstance(latency, Mapping):
        return tables
    before, name = _names(latency)
    batch = latency.get("batch", 1)
    recipe = {} if batch == 1 else {"recipe": f"batch {batch}"}

    def renamed(row: dict[str, Any]) -> dict[str, Any]:
        if row.get("study") != study or (row.get("source"), row.get("metric")) != ("measured", f"latency_ms@{before}"):
            return row
        return {**row, "metric": f"latency_ms@{name}", "hardware": name, **recipe}

    return {**tables, "evaluations": [renamed(row) for row in tables.get("evaluations", [])]}


def _names(latency: Mapping[str, Any]) -> tuple[str, str]:
    """What was measured was called, and is called now; that of settings that never were is kept."""
    runtime, on_cuda = latency.get("runtime", "onnxruntime"), latency.get("runtime") == "cuda"
    before: Device = "cuda" if on_cuda else "cpu"
    threads, precision = latency.get("threads", 1), latency.get("dtype", "float32")
    try:
        # On a GPU the threads of the processor computed nothing.
        target = HardwareTarget(before, "torch" if on_cuda else runtime, 1 if on_cuda else threads, precision)
    except InvalidInputError:
        return before, before
    return before, target.name


def _renamed(text: str, before: str, name: str) -> str:
    return re.sub(rf"(latency_ms@{before})(?![\w.-])", f"latency_ms@{name}", text)
