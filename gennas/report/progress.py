"""Progress: how much of what there is to find a search had found after every evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gennas.benchmarks.benchmark import Benchmark
from gennas.benchmarks.exact_front import Front
from gennas.benchmarks.protocol import best_so_far
from gennas.errors import GennasError
from gennas.report.figures import COLOURS, Figure, layout
from gennas.report.run import Run
from gennas.tables import Table, load_table

#: Costs of more archs than these take longer to compute than anybody waits for a page.
_MOST_COSTS = 60_000


@dataclass(frozen=True, eq=False)
class Progress:
    """What was reached after 1, 2, ... archs.

    Attributes:
        hypervolume: ``(N,)`` with several objectives, the share of a front's hypervolume; None with one.
        of_table: whether that front is the exact one of the table, and not the one that the search ended with.
        regret: ``(N,)`` by how much the table's best value is better, NaN before the first success; with several
            objectives the share of the exact front's hypervolume that is missing. None where no table is known.
    """

    hypervolume: np.ndarray | None
    of_table: bool
    regret: np.ndarray | None

    @classmethod
    def of(cls, run: Run, table: Table | None = None) -> Progress:
        """Progress of a run.

        Args:
            run: the run.
            table: that answered, where it is one of the user's own.
        """
        known, gains = _benchmark(run, table), run.gains
        if len(run.objective.metrics) == 1:
            if known is None or not np.isfinite(known.gains).any():
                return cls(None, False, None)
            rows = best_so_far(gains[:, 0])
            return cls(None, True, known.best - np.where(rows >= 0, gains[rows, 0], np.nan))
        if known is not None and np.isfinite(known.gains).all(1).any():
            shares = known.front.shares(gains)
            return cls(shares, True, 1 - shares)
        if not np.isfinite(gains).all(1).any():
            return cls(None, False, None)
        return cls(Front.of(gains).shares(gains), False, None)

    def figures(self) -> list[Figure]:
        """The charts of what is known."""
        found = []
        if self.hypervolume is not None:
            of = "of the exact front of the table" if self.of_table else "of the final front"
            what = f"share of the hypervolume {of}"
            found.append(_line("hypervolume", "hypervolume, share", what, self.hypervolume, COLOURS[0]))
        if self.regret is not None:
            missing = "missing share of it" if self.hypervolume is not None else "regret against the table's best value"
            found.append(_line("regret", "regret", missing, self.regret, COLOURS[3]))
        return found


def _line(name: str, title: str, what: str, values: np.ndarray, colour: str) -> Figure:
    known = np.flatnonzero(np.isfinite(values))
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": (known + 1).tolist(),
        "y": values[known].tolist(),
        "line": {"shape": "hv", "color": colour, "width": 2},
        "marker": {"size": 4},
        "hovertemplate": "after %{x} evaluations: %{y:.4g}<extra></extra>",
        "showlegend": False,
    }
    end = f", {values[known[-1]]:.4g} at the end" if len(known) else ""
    return Figure(
        name,
        f"{what} after every evaluation{end}.",
        [trace],
        layout("evaluations", title, 320, y={"rangemode": "tozero"}),
    )


def _benchmark(run: Run, table: Table | None) -> Benchmark | None:
    """The table with all the problem's metrics of all archs; None where they are not known."""
    problem, name = run.problem, run.config.get("table")
    if problem is None or not isinstance(name, str):
        return None
    try:
        known = load_table(name) if table is None else table
        if known.identity != name:
            return None
        own = [metric for metric in problem.metrics if not metric.is_cost]
        values = known.columns([metric.name for metric in own]).dropna().copy()
        costs = [metric for metric in problem.metrics if metric.is_cost]
        if costs and len(values) > _MOST_COSTS:
            return None
        if costs:
            space, task = problem.space, problem.task
            found = pd.DataFrame([space.costs(space.parse(str(key)), task) for key in values.index], index=values.index)
            values[[metric.name for metric in costs]] = found[[metric.name for metric in costs]]
        return Benchmark(problem, values, None, (), known)
    except (GennasError, KeyError):
        # A table of another machine, or without a column: the page says that the regret is not known.
        return None
