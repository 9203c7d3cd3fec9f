"""Studies in which settings told how latency was measured become studies in which names do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gennas.studies.latency_names import renamed_rows, renamed_settings

OLD = {"threads": 1, "batch": 1, "warmup": 10, "repeats": 50, "runtime": "onnxruntime", "dtype": "float32"}


def settings(**latency: Any) -> dict[str, Any]:
    objective = "accuracy@digits, -latency_ms@cpu, -latency_ms@cpu-laptop"
    return {"objective": objective, "where": ["latency_ms@cpu <= 5", "params_m <= 1"], "latency": {**OLD, **latency}}


@pytest.mark.parametrize(
    ("latency", "name"),
    [
        ({}, "cpu"),
        ({"warmup": 1, "repeats": 3}, "cpu"),
        ({"threads": 4}, "cpu-4threads"),
        ({"runtime": "torch", "dtype": "bfloat16", "threads": 2}, "cpu-torch-2threads-bfloat16"),
    ],
)
def test_names_tell_what_settings_did(latency: dict[str, Any], name: str) -> None:
    renamed = renamed_settings(settings(**latency))
    assert renamed == {
        "objective": f"accuracy@digits, -latency_ms@{name}, -latency_ms@cpu-laptop",
        "where": [f"latency_ms@{name} <= 5", "params_m <= 1"],
        "latency": {"batch": 1},
    }
    assert renamed_settings(renamed) == renamed


def test_gpus() -> None:
    old = {"objective": "-latency_ms@cuda", "latency": {**OLD, "runtime": "cuda", "dtype": "float16", "threads": 8}}
    assert renamed_settings(old)["objective"] == "-latency_ms@cuda-float16"


@pytest.mark.parametrize("latency", [None, 3, {"threads": 0}, {"runtime": ["x"]}, {"dtype": "int7"}])
def test_other_settings_stay(latency: Any) -> None:
    old = {"objective": "accuracy@digits, -latency_ms@cpu", "latency": latency}
    assert renamed_settings(old)["objective"] == old["objective"]
    assert renamed_rows({"evaluations": []}, json.dumps(old), "s") == {"evaluations": []}


def row(**changes: str) -> dict[str, Any]:
    names = {"study": "s", "source": "measured", "metric": "latency_ms@cpu", "hardware": "cpu", "recipe": ""}
    return {**names, "value": 3, **changes}


def test_rows_are_renamed_but_those_of_others_are_not() -> None:
    others = [row(source="table"), row(study="t"), row(metric="latency_ms@pixel3", hardware="pixel3")]
    tables = {"evaluations": [row(), *others], "proposals": [{"study": "s"}]}
    renamed = renamed_rows(tables, json.dumps(settings(threads=4, batch=8)), "s")
    new = row(metric="latency_ms@cpu-4threads", hardware="cpu-4threads", recipe="batch 8")
    assert renamed == {"evaluations": [new, *others], "proposals": [{"study": "s"}]}
    assert renamed_rows(tables, json.dumps(settings()), "s") == tables
    for unknown in ("", "{", "[]", "3"):
        assert renamed_rows(tables, unknown, "s") == tables
