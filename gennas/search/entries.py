"""What a search has found: its best archs, and all trials as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.evaluators.stage import Stage
from gennas.metrics import Objective
from gennas.problem import Problem
from gennas.search.base import EVALUATED, History
from gennas.search.trials import Trial
from gennas.spaces.drawing.table import html_table
from gennas.studies.study import Study
from gennas.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

    from gennas.studies.observations import Observations


@dataclass(frozen=True, repr=False)
class SearchEntry:
    """An arch of which all metrics of the problem are known.

    Attributes:
        arch: the arch.
        metrics: everything that was evaluated of it: metric names with their target -> values.
        number: of its proposal, from 0; None for an arch that the user had evaluated.
        proposed_by: how it came to be proposed.
        folder: of its trained network; None where none was trained here.
    """

    arch: Arch
    metrics: dict[str, float]
    number: int | None
    proposed_by: str
    folder: Path | None = None

    @property
    def key(self) -> str:
        """The arch's native notation."""
        return self.arch.key

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.4g}" for name, value in self.metrics.items())
        return f"SearchEntry({self.key!r}, {values})"


@dataclass(frozen=True, repr=False)
class RankedEntry:
    """An arch that no other beats at several tasks together.

    Attributes:
        entry: the arch and its values.
        mean_rank: the mean over the tasks of its rank among all archs that were evaluated whole, 1 for the best.
    """

    entry: SearchEntry
    mean_rank: float

    def __repr__(self) -> str:
        return f"RankedEntry({self.entry!r}, mean rank {self.mean_rank:.3g})"


def html_of(title: str, entries: Sequence[SearchEntry], notes: Sequence[str] = ()) -> str:
    """An HTML table of entries with small drawings, for notebooks."""
    import pandas as pd

    rows = [{**entry.metrics, "trial": entry.number, "proposed by": entry.proposed_by} for entry in entries]
    return html_table(title, [entry.arch for entry in entries], pd.DataFrame(rows), notes)


def _entry_of(trial: Trial, study: Study, evaluators: Sequence[Evaluator]) -> SearchEntry:
    """A trial with everything that its study holds of its arch, and the folder of its network."""
    stored: dict[str, list[float]] = {}
    for row in study.find(arch=trial.arch.key):
        stored.setdefault(row.metric, []).append(row.value)
    metrics = {name: float(np.mean(values)) for name, values in stored.items()} | trial.values
    folders = (evaluator.network_folder(trial.arch) for evaluator in evaluators)
    folder = next((folder for folder in folders if folder is not None and folder.is_dir()), None)
    return SearchEntry(trial.arch, metrics, trial.number, trial.proposed_by, folder)


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of the archs of a search, from which its best are taken.

    Args:
        problem: what is searched for.
        history: the archs that the user had evaluated, then those of the trials.
        trials: all of them.
        evaluated: what the user had evaluated; None for nothing.
        study: of the search.
        stages: of which some may have trained networks.
    """

    problem: Problem
    history: History
    trials: Sequence[Trial]
    evaluated: Observations | None
    study: Study
    stages: Sequence[Stage]

    def front(self) -> tuple[SearchEntry, ...]:
        """The archs that nothing beats, best by the first metric first, of those that were evaluated whole and keep all
        bounds; with several tasks, the best by the mean rank over them first."""
        rows = self._whole()
        if self.problem.others and len(rows):
            ranks = dict(zip(rows.tolist(), self._ranks(rows), strict=True))
            ordered = sorted(self._front_rows(self.problem.objective, rows), key=ranks.__getitem__)
        else:
            ordered = self._front_rows(self.problem.objective, rows)
        return tuple(self._entry(row) for row in ordered)

    def task_front(self, task: Task) -> tuple[SearchEntry, ...]:
        """The archs that nothing beats at what counts for one task, best by its first metric first: of those of which
        that is known, whatever failed for other tasks, and which keep all bounds."""
        objective = self.problem.objective.of_task(task.name)
        known = np.isfinite(self._values(objective)).all(1) & self.problem.feasible(self.history.values)
        stages = [stage for stage in self.stages if stage.task == task]
        rows = self._front_rows(objective, np.flatnonzero(known))
        return tuple(self._entry(row, stages) for row in rows)

    def for_all_tasks(self) -> tuple[RankedEntry, ...]:
        """The archs that no other beats at the metrics of all tasks, best by the mean rank over the tasks first."""
        rows = self._whole()
        if not len(rows):
            return ()
        ranks = dict(zip(rows.tolist(), self._ranks(rows).tolist(), strict=True))
        best = sorted(self._front_rows(self.problem.objective.of_all_tasks(), rows), key=ranks.__getitem__)
        return tuple(RankedEntry(self._entry(row), ranks[row]) for row in best)

    def _whole(self) -> np.ndarray:
        """Rows of the archs that were evaluated whole and keep all bounds."""
        values = self.history.values
        return np.flatnonzero(np.isfinite(values).all(1) & ~self.history.failed & self.problem.feasible(values))

    def _values(self, objective: Objective) -> np.ndarray:
        columns = [self.problem.metrics.index(metric) for metric in objective.metrics]
        return self.history.values[:, columns]

    def _gains(self, objective: Objective, rows: np.ndarray) -> np.ndarray:
        return self._values(objective)[rows] * np.array([metric.kind.sign for metric in objective.metrics])

    def _ranks(self, rows: np.ndarray) -> np.ndarray:
        """``(R,)`` mean ranks over the tasks, by the first metric of each."""
        from gennas.pareto import mean_ranks

        return mean_ranks(self._gains(self.problem.objective.first_of_tasks(), rows))

    def _front_rows(self, objective: Objective, rows: np.ndarray) -> list[int]:
        from gennas.pareto import pareto_front

        return [int(rows[place]) for place in pareto_front(self._gains(objective, rows))]

    def _entry(self, row: int, stages: Sequence[Stage] | None = None) -> SearchEntry:
        given = list(self.evaluated.values.items()) if self.evaluated else []
        if row < len(given):
            return SearchEntry(given[row][0], dict(given[row][1]), None, EVALUATED)
        of_these = self.stages if stages is None else stages
        return _entry_of(self.trials[row - len(given)], self.study, [stage.evaluator for stage in of_these])


def frame_of(trials: Sequence[Trial]) -> pd.DataFrame:
    """A row per trial; see :meth:`gennas.search.search.Search.frame`."""
    import pandas as pd

    rows = [
        {
            "key": trial.arch.key,
            "batch": trial.batch,
            "proposed_by": trial.proposed_by,
            "state": trial.state,
            **trial.values,
            "message": trial.message,
        }
        for trial in trials
    ]
    names = dict.fromkeys(name for trial in trials for name in trial.values)
    columns = ["key", "batch", "proposed_by", "state", *names, "message"]
    return pd.DataFrame(rows, columns=columns, index=pd.RangeIndex(len(rows), name="number"))
