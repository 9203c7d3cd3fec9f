"""What the runs of one method come to: numbers over seeds after some queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gennas.benchmarks.protocol import Queries, Statistics, padded, relative_improvement

#: After how many queries numbers are reported, besides the last.
AT = (25, 50, 100, 150, 200, 500)


def summary(runs: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], budget: int) -> dict[str, Any]:
    """Of all runs: queries until the best arch, every curve after some queries, overhead.

    Args:
        runs: as :func:`gennas.benchmarks.runner.run_seed` gives them.
        facts: of the table; see :meth:`gennas.benchmarks.runner.Benchmark.facts`.
        budget: queries of a run.
    """
    if not runs:
        return {}
    document: dict[str, Any] = {}
    if "best" in facts:
        queries = Queries.of([run["queries"] for run in runs], budget)
        document["queries_until_best"] = {
            **_rounded(queries.statistics),
            "censored": queries.censored,
            "budget": budget,
        }
    at = sorted({*(count for count in AT if count < budget), budget})
    document["after"] = {str(count): _after(runs, count, facts, budget) for count in at}
    seconds = np.concatenate([run["seconds"] for run in runs])
    document["overhead_s_per_batch"] = {"mean": round(float(seconds.mean()), 4), "max": round(float(seconds.max()), 4)}
    document["failed"] = sum(run["failed"] for run in runs)
    return document


def _after(runs: Sequence[Mapping[str, Any]], count: int, facts: Mapping[str, Any], budget: int) -> dict[str, Any]:
    found = {}
    for name in runs[0]["curves"]:
        reached = [curve_of(run, name, budget)[count - 1] for run in runs]
        found[name] = _rounded(Statistics.of(reached))
        if name == "selected_test":
            gained = [relative_improvement(value, facts["random_test"]) for value in reached]
            found["relative_improvement"] = _rounded(Statistics.of(gained))
    return found


def _rounded(statistics: Statistics) -> dict[str, float | None]:
    """Without NaN, which JSON does not have."""
    return {name: None if math.isnan(value) else round(value, 6) for name, value in asdict(statistics).items()}


def curve_of(run: Mapping[str, Any], name: str, budget: int) -> np.ndarray:
    """``(budget,)`` a curve of a run; one that ended before stays where it was."""
    curve = np.array([np.nan if value is None else value for value in run["curves"][name]], dtype=float)
    return padded(curve, budget)
