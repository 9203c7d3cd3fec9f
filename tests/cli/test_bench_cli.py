"""`gennas bench search` says which policy is better, and only then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gennas.cli.bench import bench_search
from gennas.cli.main import main
from gennas.cli.options import BenchmarkOptions, ComparisonOptions, RunOptions


def test_every_two_policies_are_compared(tmp_path: Path) -> None:
    policies = ComparisonOptions("random,regularised_evolution", "regularised_evolution:population=2")
    outcome = bench_search(
        tmp_path, BenchmarkOptions("nasbench_graph", "cora"), policies, RunOptions(seeds=6, budget=8, batch=2)
    )
    (one,) = outcome.document["comparisons"]
    assert {one["first"], one["second"]} == {"random", "regularised_evolution"}
    assert one["pairs"] == 6
    assert one["difference"] <= 0
    assert one["corrected"] == one["p"]
    assert one["is_better"] == (one["p"] < 0.05)
    (row,) = outcome.tables["paired over seeds, by the mean over all queries"]
    assert row["is"] == ("better than" if one["is_better"] else "ahead of, but undecided")


def test_one_policy_is_compared_with_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "bench search --table nasbench_graph --task cora --policies random --seeds 1 --budget 3 --format json"
    assert main([*command.split(), "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["comparisons"] == []
