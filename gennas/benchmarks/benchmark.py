"""A table as a benchmark for searches: the problem, the values, and what the best and the average arch are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gennas.benchmarks.exact_front import Front
from gennas.errors import InvalidInputError
from gennas.metrics import Objective, parse_constraints
from gennas.problem import Problem
from gennas.search.checks import check_objective
from gennas.spaces import get_space, registered_space
from gennas.spaces.costs import all_costs
from gennas.tables import Table, is_table_file, load_table
from gennas.tasks import get_task

#: What curves against cost are drawn over: no table here has the time of training.
COST = (
    "summed multiply-adds (millions) of one pass of the evaluated archs: with fixed images and epochs the time of "
    "training is taken to be proportional to them"
)
#: Tables whose test accuracies stand in for validation accuracies, which they lack for most archs.
_TEST_ONLY = {
    "nasbench101": "the objective is the table's test accuracy, of a single training, as the table has nothing else of "
    "all archs: what is selected is reported by the value that it was selected by",
}
#: A table that knows less of its space than this share is none to search in.
_LEAST_COMPLETE = 0.5


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is run.

    Attributes:
        table: name of the table.
        task: one that it knows.
        method: of ``POLICIES``.
        options: of the method, as written.
        objective: metrics; places are filled in.
        hardware: whose latencies count, where they do.
        where: bounds.
        budget: queries.
        batch: how many at once.
        space: of a table of the user's own, as a person writes it; by default that of the table.
        within_table: whether none but the archs of the table are proposed.
    """

    table: str
    task: str
    method: str
    options: Mapping[str, str] = field(default_factory=dict)
    objective: str = "accuracy"
    hardware: str | None = None
    where: tuple[str, ...] = ()
    budget: int = 150
    batch: int = 5
    space: str | None = None
    within_table: bool = False

    @property
    def benchmark(self) -> str:
        """What is compared with each other, in words that make a file name."""
        table = Path(self.table).stem if is_table_file(self.table) else self.table
        of = [table, self.task, *([self.hardware] if self.hardware else [])]
        plain = self.objective in ("accuracy", "accuracy, -latency_ms") and not self.where
        more = [] if plain else [self.objective, *self.where]
        return "-".join("".join(c if c.isalnum() or c in "_.-" else "_" for c in part) for part in [*of, *more])


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A problem and the table that answers.

    Attributes:
        problem: what is searched.
        values: the table's columns for the problem's metrics, and the reported one.
        reported: the test column of the objective's accuracy; None where there is none.
        notes: what a reader of its numbers must know, in sentences.
        table: from which the values are.
    """

    problem: Problem
    values: pd.DataFrame
    reported: str | None
    notes: tuple[str, ...]
    table: Table | None = None

    @classmethod
    def of(cls, setting: BenchmarkConfig) -> Benchmark:
        """Reads the table.

        Raises:
            InvalidInputError: the table knows too few archs.
        """
        space = get_space(setting.space) if setting.space is not None else None
        table = load_table(setting.table, space)
        task = get_task(setting.task)
        objective = Objective.parse(setting.objective).at(task.name, setting.hardware)
        problem = Problem(
            space or registered_space(table.space),
            task,
            objective,
            parse_constraints(setting.where, task.name, setting.hardware),
        )
        check_objective(problem)
        if setting.within_table:
            problem = table.within(problem)
        columns, notes, reported = {}, [], None
        for metric in problem.metrics:
            if metric.is_cost:
                continue
            test = f"test_{metric.name}"
            if metric.kind.name == "accuracy" and setting.table in _TEST_ONLY:
                columns[metric.name] = table.column(test)
                notes.append(_TEST_ONLY[setting.table])
                continue
            columns[metric.name] = table.column(metric.name)
            if test in table.frame and metric in objective.metrics:
                reported = test
                columns[test] = table.column(test)
        values = pd.DataFrame(columns, index=table.frame.index)
        if problem.among is not None:
            values = values.loc[[arch.key for arch in problem.among.archs]]
        for metric in problem.metrics:
            if metric.is_cost:
                costs = (all_costs(problem.space, problem.space.parse(key), task) for key in values.index)
                values[metric.name] = [cost[metric.name] for cost in costs]
        size = problem.space.size
        if table.file is not None and problem.among is None and (size is None or len(values) < _LEAST_COMPLETE * size):
            of = "" if size is None else f" of {size:,}"
            raise InvalidInputError(
                f"table {table.name!r} has {len(values):,}{of} archs; most evaluations of others would fail. "
                "`within_table` proposes none but these."
            )
        complete = values.notna().all(axis=1).mean()
        if complete < _LEAST_COMPLETE:
            raise InvalidInputError(
                f"table {setting.table!r} has {', '.join(columns)} of {complete:.0%} of its archs only; most "
                "evaluations would fail. Choose another task."
            )
        return cls(problem, values, reported, tuple(notes), table)

    @cached_property
    def gains(self) -> np.ndarray:
        """``(N, m)`` of all archs of the table, larger is better; NaN where a bound is broken."""
        return self.gains_of(self.values)

    def gains_of(self, values: pd.DataFrame) -> np.ndarray:
        """The same of some rows."""
        numbers = values[[metric.name for metric in self.problem.metrics]].to_numpy(dtype=float)
        return np.where(self.problem.feasible(numbers)[:, None], self.problem.gains(numbers), np.nan)

    @cached_property
    def best(self) -> float:
        """The best value of a single objective."""
        return float(np.nanmax(self.gains[:, 0]))

    @cached_property
    def random_test(self) -> float:
        """The mean reported value of all archs that keep the bounds: what a random arch has on average.

        Where nothing else is reported, it is that of the objective, larger is better.
        """
        reported = self.values[self.reported].to_numpy(dtype=float) if self.reported else self.gains[:, 0]
        return float(np.nanmean(reported[~np.isnan(self.gains).any(1)]))

    @cached_property
    def front(self) -> Front:
        return Front.of(self.gains)

    def facts(self) -> dict[str, Any]:
        """What the table itself says, to read the numbers by."""
        facts: dict[str, Any] = {
            "metrics": [metric.name for metric in self.problem.metrics],
            "reported": self.reported,
            "archs": len(self.values),
            "notes": list(self.notes),
            "cost": COST,
        }
        if self.problem.objective.metrics[1:]:
            front = self.front
            return facts | {
                "front": front.gains.tolist(),
                "reference": front.reference.tolist(),
                "volume": front.volume,
            }
        facts |= {"best": self.best, "random_test": self.random_test}
        if self.reported:
            tests = self.values[self.reported].to_numpy(dtype=float)
            facts |= {
                "test_of_best": float(tests[np.nanargmax(self.gains[:, 0])]),
                "best_test": float(np.nanmax(tests)),
            }
        return facts
