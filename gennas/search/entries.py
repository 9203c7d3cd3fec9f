"""What a search has found: its best archs, and all trials as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.problem import Problem
from gennas.search.base import EVALUATED, History
from gennas.search.trials import Trial
from gennas.spaces.drawing.table import html_table
from gennas.studies.study import Study

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


def front_of(
    problem: Problem,
    history: History,
    trials: Sequence[Trial],
    evaluated: Observations | None,
    study: Study,
    evaluators: Sequence[Evaluator],
) -> tuple[SearchEntry, ...]:
    """The archs that nothing beats, best by the first metric first, of those that were evaluated whole and keep all
    bounds.

    Args:
        problem: what is searched for.
        history: the archs that the user had evaluated, then those of the trials.
        trials: all of them.
        evaluated: what the user had evaluated; None for nothing.
        study: of the search.
        evaluators: of which one may have trained networks.
    """
    from gennas.pareto import pareto_front

    rows = np.flatnonzero(np.isfinite(history.values).all(1) & ~history.failed & problem.feasible(history.values))
    given = list(evaluated.values.items()) if evaluated else []
    entries = []
    for at in rows[pareto_front(problem.gains(history.values[rows]))].tolist():
        if at < len(given):
            entries.append(SearchEntry(given[at][0], dict(given[at][1]), None, EVALUATED))
        else:
            entries.append(_entry_of(trials[at - len(given)], study, evaluators))
    return tuple(entries)


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
