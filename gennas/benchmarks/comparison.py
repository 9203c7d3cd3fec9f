"""Which of several methods is better: paired tests over seeds, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import rankdata, wilcoxon

from gennas.benchmarks.summary import curve_of

#: Corrected p-values below this make one method better than another; others leave it undecided.
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same seeds; the first one is ahead.

    Attributes:
        first: the method that the test speaks for: the ranks of the seeds on which it has the smaller loss add up to
            more.
        second: the other one.
        pairs: how many seeds both have run.
        difference: median of the first one's losses minus those of the second. It can be 0, or above it, where most
            seeds say little and a few say much.
        p: of the two-sided Wilcoxon signed-rank test.
        corrected: the same after Holm's correction for all tests that were made together.
    """

    first: str
    second: str
    pairs: int
    difference: float
    p: float
    corrected: float

    @property
    def is_better(self) -> bool:
        """Whether the first is better than the second; False says that it is undecided, not that they are equal.

        Ranks and median must agree: a method that does no better on half of the seeds is not called better, however
        sure the test is of the others.
        """
        return self.corrected < LEVEL and self.difference < 0


def losses(runs: Mapping[str, Sequence[Mapping[str, Any]]], budget: int) -> dict[str, dict[int, float]]:
    """How far each run was from the best on average over its queries, smaller is better: method -> seed -> loss.

    That is the area under its curve, divided by the number of queries: of the regret, or of the share of the exact
    front's hypervolume that is missing. It needs no threshold, and every run has one, whether it found the best or not.
    Queries before anything was found count as the largest loss of any query of any run.

    Args:
        runs: of every method on one benchmark, as :func:`gennas.benchmarks.runner.run_seed` gives them.
        budget: queries that count; runs that ended before stay where they were.
    """
    found = {
        method: {int(run["seed"]): _loss_curve(run, budget) for run in of_method} for method, of_method in runs.items()
    }
    every = np.concatenate([np.zeros(0), *(curve for curves in found.values() for curve in curves.values())])
    worst = float(np.nanmax(every)) if np.isfinite(every).any() else 0.0
    return {
        method: {seed: float(np.nan_to_num(curve, nan=worst).mean()) for seed, curve in curves.items()}
        for method, curves in found.items()
    }


def _loss_curve(run: Mapping[str, Any], budget: int) -> np.ndarray:
    name = "regret" if "regret" in run["curves"] else "hypervolume"
    curve = curve_of(run, name, max(budget, len(run["curves"][name])))[:budget]
    return curve if name == "regret" else 1 - curve


def compared(found: Mapping[str, Mapping[int, float]]) -> list[Comparison]:
    """Every two methods, the most certain difference first.

    The Wilcoxon signed-rank test asks whether differences are as often and as far below 0 as above it (Demsar,
    "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006; here the pairs are seeds). With fewer
    than six pairs no difference can be told from chance.

    Args:
        found: the :func:`losses` of one benchmark.
    """
    return corrected([_compared(first, second, found) for first, second in combinations(found, 2)])


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same tests, corrected for how many they are, the most certain difference first.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979: of ``m`` p-values the ``i``-th smallest is
    multiplied by ``m - i + 1``, and none becomes smaller than one before it. Where all methods are equal, the chance
    that any of them is called better is at most :data:`LEVEL`.
    """
    ordered, least, found = sorted(comparisons, key=lambda one: one.p), 0.0, []
    for rank, comparison in enumerate(ordered):
        least = max(least, min(1.0, (len(ordered) - rank) * comparison.p))
        found.append(replace(comparison, corrected=least))
    return found


def _compared(first: str, second: str, found: Mapping[str, Mapping[int, float]]) -> Comparison:
    seeds = sorted(found[first].keys() & found[second].keys())
    differences = np.array([found[first][seed] - found[second][seed] for seed in seeds])
    # What no seed tells apart is no question for a test.
    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    # As the test does: ties are left out, and the others ranked by their size.
    untied = differences[differences != 0]
    if (np.sign(untied) * rankdata(np.abs(untied))).sum() > 0:
        first, second, differences = second, first, -differences
    # Adding 0 makes a 0 of -0, which nobody wants to read.
    median = float(np.median(differences)) + 0.0 if len(differences) else 0.0
    return Comparison(first, second, len(seeds), median, p, p)
