"""A table of the user's own on the command line: checked, searched, compared on and learnt from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parts_spaces import TwoCells

from gennas.cli.main import main
from gennas.metrics import KINDS
from gennas.spaces import SPACES, get_space
from gennas.tables import user
from gennas.tables.fields import read_fields
from gennas.tasks import TASKS

FILE = """
from gennas.metrics import MetricKind, register_metric
from gennas.spaces.nasbench201.space import NasBench201

register_metric(MetricKind("robust_accuracy", "fraction", "max", "task", 0.0, 1.0))
register_metric(MetricKind("memory_mb", "MB", "min", "hardware", 0.0))
register_metric(MetricKind("size_kb", "kB", "min", "arch", 0.0))


class Cells(NasBench201):
    name = "cells"
"""
QUICK = ("--training.steps", "20", "--training.batch-size", "32")


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes known is forgotten."""
    for registry in (SPACES, TASKS, KINDS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.fixture
def space(tmp_path: Path) -> str:
    (tmp_path / "cells.py").write_text(FILE)
    return f"{tmp_path / 'cells.py'}:Cells"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """40 archs of two seeds each, with metrics of every scope."""
    cells, rng = get_space("nasbench201"), np.random.default_rng(0)
    archs = list(dict.fromkeys(cells.sample(rng) for _ in range(41)))[:40]
    convs = np.array([sum("conv" in op for op in arch.ops) for arch in archs])
    frame = pd.DataFrame(
        {
            "arch": [arch.key for arch in archs],
            "robust_accuracy@flowers": 0.3 + 0.05 * convs + rng.uniform(0, 0.05, 40),
            "memory_mb@phone": 10.0 + convs + rng.uniform(0, 0.5, 40),
            "size_kb": 100.0 + 20 * convs,
        }
    )
    again = frame.assign(**{"robust_accuracy@flowers": frame["robust_accuracy@flowers"] + rng.normal(0, 0.01, 40)})
    path = tmp_path / "rows.csv"
    pd.concat([frame.assign(seed=0), again.assign(seed=1)]).to_csv(path, index=False)
    return path


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    code = main([*words, "--format", "json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_a_table_is_checked_in_words(space: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["check-table", str(table), "--space", space], capsys)
    assert found["passed"]
    assert (found["rows"], found["archs with several rows"]) == (80, 40)
    columns = {column["column"]: column for column in found["columns"]}
    assert set(columns) == {"robust_accuracy@flowers", "memory_mb@phone", "size_kb"}
    assert columns["robust_accuracy@flowers"]["noise"].endswith("(from 40 archs)")
    assert columns["size_kb"]["noise"].startswith("not known")
    frame = pd.read_csv(table)
    frame["robust_accuracy@flowers"] *= 100
    frame.to_csv(table, index=False)
    assert main(["check-table", str(table), "--space", space]) == 2
    assert "column robust_accuracy@flowers is in per cent" in capsys.readouterr().err


def test_a_space_is_checked_in_words(space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["check-space", space, "--skeleton", "channels=2,cells=1"], capsys)["archs"] == 15_625
    broken = tmp_path / "broken.py"
    broken.write_text(f"{FILE}\n    def costs(self, arch, task):\n        return {{'params_m': 1.0, 'macs_m': 1.0}}\n")
    assert main(["check-space", f"{broken}:Cells", "--skeleton", "channels=2,cells=1"]) == 2
    assert "error: space 'cells': costs(): " in capsys.readouterr().err
    broken.write_text(f"{FILE}\n    def build(self, arch, task):\n        return undefined\n")
    assert main(["check-space", f"{broken}:Cells", "--skeleton", "channels=2,cells=1"]) == 2
    assert "NameError: name 'undefined' is not defined" in capsys.readouterr().err


def test_what_fails_after_the_checks_is_told_and_large_spaces_are_counted(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gennas.testing.check_space", lambda *arguments: None)
    broken = tmp_path / "broken.py"
    broken.write_text(f"{FILE}\n    def costs(self, arch, task):\n        return undefined\n")
    assert main(["check-space", f"{broken}:Cells"]) == 2
    assert "error: space 'cells' fails: " in capsys.readouterr().err
    composed = Path(__file__).parents[1] / "parts_spaces.py"
    assert answer(["check-space", f"{composed}:TwoCells"], capsys)["archs"] == TwoCells().count > 100_000


def test_a_table_is_read_once(
    space: str, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = []
    monkeypatch.setattr(user, "read_fields", lambda path: read.append(path) or read_fields(path))
    answer(["check-table", str(table), "--space", space], capsys)
    assert read == [table]


def test_metrics_of_the_user_s_own_are_searched_and_bounded(
    space: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goal = ["--space", space, "--table", str(table), "--task", "flowers", "--within-table", "--hardware", "phone"]
    goal += ["--objective", "robust_accuracy, -memory_mb", "--where", "size_kb <= 180"]
    found = answer(["search", *goal, "--budget", "25", "--policy", "random", "--out", str(tmp_path / "run")], capsys)
    assert (found["evaluated"], found["failed"]) == (25, 0)
    assert all(entry["evaluated"]["size_kb"] <= 180 for entry in found["archs"])
    bench = ["bench", "search", *goal, "--budget", "10", "--seeds", "2", "--policies", "random,regularised_evolution"]
    compared = answer([*bench, "--out", str(tmp_path / "bench")], capsys)
    assert compared["table"]["metrics"] == ["robust_accuracy@flowers", "memory_mb@phone", "size_kb"]
    assert compared["table"]["archs"] == 40
    # What is stored is of these values, and of no others.
    frame = pd.read_csv(table)
    frame["size_kb"] += 1
    frame.to_csv(table, index=False)
    assert main([*bench, "--out", str(tmp_path / "bench")]) == 2
    assert "holds other runs" in capsys.readouterr().err


def test_a_search_takes_from_others_what_they_tell(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(table).query("seed == 0")
    values = frame.pop("robust_accuracy@flowers")
    frame = frame[["arch"]].assign(**{"accuracy@flowers": values, "accuracy@constant": 0.1})
    for number in range(4):
        # Each is known of most archs, and no arch has them all.
        frame[f"accuracy@gaps{number}"] = values.where(np.arange(40) % 4 != number)
    frame.to_csv(table, index=False)
    words = ["search", "--space", "nasbench201", "--table", str(table), "--task", "flowers", "--within-table"]
    found = answer([*words, "--policy", "gennas", "--budget", "2", "--out", str(tmp_path / "run")], capsys)
    assert (found["evaluated"], found["failed"]) == (2, 0)
    named = ", ".join(f"accuracy@gaps{number}" for number in range(4))
    assert any(f"prior: {named} of table" in note for note in found["notes"])


def test_a_part_of_a_space_is_no_benchmark_without_the_restriction(
    space: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "bench",
        "search",
        "--space",
        space,
        "--table",
        str(table),
        "--task",
        "flowers",
        "--out",
        str(tmp_path / "b"),
    ]
    assert main([*words, "--objective", "robust_accuracy"]) == 2
    assert "has 40 of 15,625 archs; most evaluations of others would fail. --within-table" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    assert main(["search", "--task", "digits", "--within-table", "--out", str(tmp_path / "b")]) == 2
    assert "--within-table needs a table" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.usefixtures("taught_briefly")
def test_a_predictor_of_few_labels_is_used_without_the_user_s_file(
    space: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "checkpoint"
    words = ["pretrain", "predictor", "--space", space, "--table", str(table), "--out", str(out), *QUICK]
    trained = answer(words, capsys)["metrics"]
    assert trained["held_out"]["labels"] == 30
    config = json.loads((out / "predictor" / "config.json").read_text())
    assert (config["class"], config["space"]) == ("mlp", "cells")
    assert str(table) in (out / "predictor" / "README.md").read_text()
    # Another process knows neither the task nor the metrics, but the checkpoint does.
    for registry in (TASKS, KINDS):
        known = {name: entry for name, entry in registry._entries.items() if name in registry._shipped}
        monkeypatch.setattr(registry, "_entries", known)
    arch = pd.read_csv(table)["arch"][0]
    monkeypatch.setattr(SPACES, "_entries", {**SPACES._entries})
    predicted = answer(["predict", arch, "--checkpoint", str(out), "--task", "flowers", "--hardware", "phone"], capsys)
    assert set(predicted["archs"][0]["predicted"]) >= {"robust_accuracy@flowers", "memory_mb@phone", "size_kb"}


def test_a_refused_training_leaves_nothing_behind(
    space: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "checkpoint"
    words = ["pretrain", "predictor", "--space", space, "--out", str(out), *QUICK]
    assert main([*words, "--table", str(table), "--held-out-labels", "50"]) == 2
    assert "50 labels requested; expected 10 to 40" in capsys.readouterr().err
    pd.read_csv(table).assign(size_kb=1.0).to_csv(table, index=False)
    assert main([*words, "--table", str(table)]) == 2
    assert "'size_kb' has 40 labels, all equal" in capsys.readouterr().err
    assert not out.exists()
