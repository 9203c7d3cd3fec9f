"""Run: what a page shows of a study, read once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gennas.errors import GennasError, StudyError
from gennas.metrics import Constraint, Metric, Objective
from gennas.pareto import mean_ranks, pareto_front
from gennas.problem import Problem
from gennas.spaces import Space, space_of
from gennas.studies.image_place import noted_task, opened_task, sized_task, stored_tasks
from gennas.studies.records import mean_values
from gennas.studies.study import Evaluation, Failure, Prediction, SessionRecord, Study
from gennas.tasks import Task
from gennas.training.network_files import MODEL, folder_name

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Run:
    """A search or a validation, as its study remembers it.

    Attributes:
        folder: of the study.
        location: of its rows.
        config: its settings.
        objective: what was searched for.
        where: the bounds.
        evaluations: all values.
        failures: all failed attempts.
        predictions: what was predicted of archs when they were proposed.
        sessions: who wrote to the study.
        archs: a row per arch in the order in which they were proposed: ``key``, ``number`` (NaN where no proposal is
            stored), ``batch``, ``proposed_by``, ``state`` (``done``, ``failed``, ``stopped`` by a bound, ``open``),
            ``is_feasible``, ``message``, ``seconds``; and a column per metric, NaN where it is not known.
        metric_names: the columns of metrics.
        space: of the archs; None where it is not registered here.
        task: what the networks are for; None where it is not at hand. Of several, the first.
    """

    folder: Path
    location: str
    config: Mapping[str, Any]
    objective: Objective
    where: tuple[Constraint, ...]
    evaluations: list[Evaluation]
    failures: list[Failure]
    predictions: list[Prediction]
    sessions: list[SessionRecord]
    archs: pd.DataFrame
    metric_names: tuple[str, ...]
    space: Space | None
    task: Task | None

    @classmethod
    def read(cls, folder: Path, database: str | None = None, task: Task | str | None = None) -> Run:
        """Reads a study; one of an older format is not changed.

        Args:
            folder: of the study.
            database: URL of its rows, where they are elsewhere.
            task: of the study, or what names it: a folder of images is known to whoever ran the search only.

        Raises:
            StudyError: there is no study in the folder, it is damaged, holds nothing yet, or was made by something
                else than a search or a validation.
        """
        if not folder.is_dir():
            raise StudyError(
                f"{folder} is no folder; expected the run folder of `gennas search` or `gennas validate`.",
                argument="study",
            )
        study = Study(folder, database)
        try:
            config = study.config
            objective, where = _aims(folder, config)
            evaluations, failures = study.find(), study.failures()
            if not evaluations and not failures:
                raise StudyError(
                    f"{folder} holds no evaluation yet; run the search until the first one is done.", argument="study"
                )
            found = (noted_task(folder, config) if task is None else None) or _task(task, config)
            return cls(
                folder,
                study.location,
                config,
                objective,
                where,
                evaluations,
                failures,
                study.predictions(),
                study.sessions(),
                *_frame(study, evaluations, failures, objective, where),
                _space(config),
                found,
            )
        finally:
            study.close()

    @property
    def is_validation(self) -> bool:
        """Whether the archs were given, or generated before any was trained: they have no order."""
        return self.config.get("method") in ("given", "design")

    @property
    def is_design(self) -> bool:
        """Whether the archs were generated in one go, from images and limits."""
        return self.config.get("method") == "design"

    @property
    def task_name(self) -> str:
        return str(_part(self.config, "task").get("name", ""))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks: mostly one."""
        return tuple(stored_tasks(self.config))

    @property
    def space_name(self) -> str:
        return str(_part(self.config, "space").get("name", ""))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of the objective, then those that are only bounded."""
        return tuple(dict.fromkeys((*self.objective.metrics, *(bound.metric for bound in self.where))))

    @cached_property
    def problem(self) -> Problem | None:
        """What was searched for; None where the space or the task is not known here."""
        if self.space is None or self.task is None:
            return None
        others = [noted_task(self.folder, self.config, name) or _named(self.config, name) for name in self.tasks[1:]]
        known = [other for other in others if other is not None]
        if len(known) < len(others):
            return None
        return Problem(self.space, self.task, self.objective, self.where, others=known)

    @cached_property
    def gains(self) -> np.ndarray:
        """``(N, m)`` the objective of the archs, larger is better; NaN for what failed, is open or breaks a bound."""
        names = [metric.name for metric in self.objective.metrics]
        signs = np.array([metric.kind.sign for metric in self.objective.metrics])
        counts = (self.archs["state"] == "done") & self.archs["is_feasible"]
        return np.where(counts.to_numpy()[:, None], self.archs[names].to_numpy(dtype=float) * signs, np.nan)

    @cached_property
    def front(self) -> list[int]:
        """Rows of :attr:`archs` that nothing beats, the best by the first metric first; with one objective the best
        alone, and none where no arch was evaluated whole and keeps all bounds. With several tasks the best by the mean
        rank over them comes first."""
        rows = np.flatnonzero(np.isfinite(self.gains).all(1))
        front = [int(rows[place]) for place in pareto_front(self.gains[rows])]
        return sorted(front, key=self.mean_ranks.__getitem__) if len(self.tasks) > 1 else front

    @cached_property
    def mean_ranks(self) -> dict[int, float]:
        """Row of :attr:`archs` -> the mean over the tasks of its rank by the first metric of each, among those that
        were evaluated for all and keep all bounds."""
        rows = np.flatnonzero(np.isfinite(self.gains).all(1))
        firsts = [self.objective.metrics.index(metric) for metric in self.objective.first_of_tasks().metrics]
        return dict(zip(rows.tolist(), mean_ranks(self.gains[rows][:, firsts]).tolist(), strict=True))

    @cached_property
    def for_all_tasks(self) -> list[int]:
        """Rows of :attr:`archs` that no other beats at the metrics of all tasks, the best by the mean rank first."""
        rows = np.flatnonzero(np.isfinite(self.gains).all(1))
        columns = [place for place, metric in enumerate(self.objective.metrics) if metric.kind.scope == "task"]
        best = [int(rows[place]) for place in pareto_front(self.gains[rows][:, columns])]
        return sorted(best, key=self.mean_ranks.__getitem__)

    def front_of(self, task: str) -> list[int]:
        """Rows of :attr:`archs` that nothing beats at what counts for one task, the best by its first metric first;
        evaluations that failed for other tasks do not matter."""
        metrics = self.objective.of_task(task).metrics
        signs = np.array([metric.kind.sign for metric in metrics])
        gains = self.archs[[metric.name for metric in metrics]].to_numpy(dtype=float) * signs
        rows = np.flatnonzero(np.isfinite(gains).all(1) & self.archs["is_feasible"].to_numpy(dtype=bool))
        return [int(rows[place]) for place in pareto_front(gains[rows])]

    @cached_property
    def ranked(self) -> list[int]:
        """All rows: the front, then the others by the first metric of the objective, unknown ones last."""
        name, sign = self.objective.metrics[0].name, self.objective.metrics[0].kind.sign
        values = np.nan_to_num(sign * self.archs[name].to_numpy(dtype=float), nan=-np.inf)
        first = set(self.front)
        others = [row for row in np.argsort(-values, kind="stable").tolist() if row not in first]
        return [*self.front, *others]

    def network_folder(self, key: str) -> Path | None:
        """The folder of a trained network; None where there is none."""
        folder = self.folder / "networks" / folder_name(key)
        return folder if (folder / MODEL).is_file() else None

    def export_folder(self, key: str) -> Path | None:
        """Where `gennas export` wrote a network by default; None where it did not."""
        folder = self.folder / "exports" / folder_name(key)
        return folder if folder.is_dir() else None

    def is_predicted(self, metric: str) -> set[str]:
        """Keys of archs whose value of a metric is not a measured one."""
        return {row.arch for row in self.evaluations if row.metric == metric and row.source == "predicted"}


def _aims(folder: Path, config: Mapping[str, Any]) -> tuple[Objective, tuple[Constraint, ...]]:
    where = config.get("where", [])
    try:
        if not isinstance(where, list):
            raise StudyError(f"where is {where!r}")
        objective = Objective.parse(str(config["objective"]))
        if not objective.metrics:
            raise StudyError("its objective is none")
        parsed = tuple(Constraint.parse(str(bound)) for bound in where)
    except (KeyError, GennasError) as error:
        reason = "has no objective" if isinstance(error, KeyError) else f"cannot be understood ({error})"
        raise StudyError(
            f"the study in {folder} {reason}; reports are of what `gennas search` or `gennas validate` wrote.",
            argument="study",
        ) from error
    kinds = {metric.name: metric for metric in objective.metrics}
    return objective, tuple(
        bound if bound.metric.name not in kinds else type(bound)(kinds[bound.metric.name], bound.relation, bound.bound)
        for bound in parsed
    )


def _frame(
    study: Study,
    evaluations: list[Evaluation],
    failures: list[Failure],
    objective: Objective,
    where: tuple[Constraint, ...],
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    import pandas as pd

    proposals = {row.arch: row for row in study.proposals()}
    keys = list(dict.fromkeys([*proposals, *(row.arch for row in evaluations), *(row.arch for row in failures)]))
    wanted = dict.fromkeys((*(one.name for one in objective.metrics), *(bound.metric.name for bound in where)))
    names = tuple(dict.fromkeys([*wanted, *(row.metric for row in evaluations)]))
    stored: dict[str, list[Evaluation]] = {key: [] for key in keys}
    for row in evaluations:
        stored[row.arch].append(row)
    failed = {row.arch: row for row in failures}
    seconds = seconds_by_arch(evaluations, failures)
    rows = []
    for key in keys:
        values = mean_values(stored[key])
        known = [bound for bound in where if bound.metric.name in values]
        keeps = all(bound.holds(values[bound.metric.name]) for bound in known)
        whole, failure, proposal = wanted.keys() <= values.keys(), failed.get(key), proposals.get(key)
        rows.append(
            {
                "key": key,
                "number": np.nan if proposal is None else proposal.number,
                "batch": np.nan if proposal is None else proposal.batch,
                "proposed_by": "" if proposal is None else proposal.proposed_by,
                "state": "done" if whole else "failed" if failure else "open" if keeps else "stopped",
                "is_feasible": keeps and len(known) == len(where),
                "message": f"{failure.reason}: {failure.message}" if failure and not whole else "",
                "seconds": sum(seconds.get(key, {}).values()),
                **values,
            }
        )
    about = ["key", "number", "batch", "proposed_by", "state", "is_feasible", "message", "seconds"]
    return pd.DataFrame(rows, columns=[*about, *names]), names


def seconds_by_arch(evaluations: list[Evaluation], failures: list[Failure]) -> dict[str, dict[str, float]]:
    """Key -> source of the values, or ``failed`` -> seconds; what one evaluation gave counts once."""
    once: dict[tuple[object, ...], float] = {}
    for row in evaluations:
        # Costs, accuracies and latencies are of evaluations of their own, each of which has one source.
        which = (row.arch, row.source, row.seed, row.fidelity, row.recipe, row.hardware)
        once[which] = max(once.get(which, 0.0), row.seconds)
    found: dict[str, dict[str, float]] = {}
    for (arch, source, *_), value in once.items():
        kinds = found.setdefault(str(arch), {})
        kinds[str(source)] = kinds.get(str(source), 0.0) + value
    for failure in failures:
        kinds = found.setdefault(failure.arch, {})
        kinds["failed"] = kinds.get("failed", 0.0) + failure.seconds
    return found


def _space(config: Mapping[str, Any]) -> Space | None:
    """None where it is not registered here: a space of the user's own is known to their program only."""
    stored = _part(config, "space")
    try:
        return space_of(stored)
    except GennasError as error:
        _LOG.info("archs are not drawn: %s", error)
        return None


def _task(task: Task | str | None, config: Mapping[str, Any]) -> Task | None:
    """Raises what `get_task` does for a task that was given; None for one that is not known by its name here."""
    if isinstance(task, Task):
        return task
    try:
        return opened_task(str(_part(config, "task").get("name", "")) if task is None else task, config)
    except GennasError:
        if task is not None:
            raise
    return None


def _named(config: Mapping[str, Any], name: str) -> Task | None:
    """A further task of a study by its name; None where it is not known here."""
    try:
        return sized_task(name, stored_tasks(config)[name])
    except GennasError:
        return None


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}
