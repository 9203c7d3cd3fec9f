"""The tables of a database of studies: evaluations, failures, proposals with what was predicted of them, and sessions,
each with the study that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sqlalchemy import FromClause, Index, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from gennas.machine import machine_name, package_versions
from gennas.metrics import Metric, implausible

if TYPE_CHECKING:
    from gennas.arch import Arch
    from gennas.evaluators.base import Evaluator
    from gennas.tasks import Task


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def versions_text() -> str:
    """The versions in use as a JSON object."""
    return json.dumps(package_versions())


class Row(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """Base class of what a database of studies stores."""


class EvaluationColumns(MappedAsDataclass, kw_only=True):
    """One value of one arch: a true one, unless its source says ``predicted``.

    What a value does not depend on is the empty string, or 0: a NULL would let a database store the row twice.

    Attributes:
        arch: the arch's key.
        space: name of its space.
        task: name of the task.
        metric: name with its target, e.g. ``accuracy@digits``.
        value: in the metric's unit.
        source: ``table``, ``trained``, ``measured``, ``computed`` (parameters and multiply-adds), or ``predicted``: a
            latency or energy, never an accuracy, on hardware that a search could not measure.
        hardware: whose latency it is; empty for other metrics.
        seed: of the evaluation's randomness.
        fidelity: epochs of a training; 0 for other sources.
        seconds: that the evaluation took.
        recipe: hash of how a network was trained, or of what predicted the value; empty for other sources.
        created: UTC time in ISO 8601.
        machine: that computed it.
    """

    arch: Mapped[str]
    space: Mapped[str]
    task: Mapped[str]
    metric: Mapped[str]
    value: Mapped[float]
    source: Mapped[str]
    hardware: Mapped[str] = mapped_column(default="")
    seed: Mapped[int] = mapped_column(default=0)
    fidelity: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    recipe: Mapped[str] = mapped_column(default="")
    created: Mapped[str] = mapped_column(default_factory=_now)
    machine: Mapped[str] = mapped_column(default_factory=machine_name)


class Evaluation(EvaluationColumns, Row):
    """A value of a study.

    Attributes:
        study: name of the study; filled in when the row is stored, as in all rows.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint(
            "study", "arch", "space", "task", "hardware", "metric", "seed", "fidelity", "source", "recipe"
        ),
        Index("ix_evaluations_arch", "arch"),
    )

    id: Mapped[int] = mapped_column(init=False, primary_key=True, sort_order=-2)
    study: Mapped[str] = mapped_column(init=False, default="", sort_order=-1)

    def for_arch(self, key: str) -> Evaluation:
        """The same value as a new row of another arch, or of the same one."""
        facts = {field.name: getattr(self, field.name) for field in fields(EvaluationColumns)}
        return Evaluation(**facts | {"arch": key})


class Failure(Row):
    """One attempt at an evaluation that gave no values.

    Attributes:
        arch: the arch's key.
        task: name of the task.
        metrics: what the evaluation was to give, separated by commas.
        seed: as of :class:`Evaluation`.
        fidelity: as of :class:`Evaluation`.
        recipe: as of :class:`Evaluation`.
        reason: ``raised``, ``not_finite``, ``implausible`` (for its metric), ``timeout``, or
            ``lost`` (with its worker).
        message: what went wrong, in words.
        attempt: 1 for the first; only what was lost is tried again.
        seconds: until it failed.
        created: UTC time in ISO 8601.
        machine: of the coordinator.
    """

    __tablename__ = "failures"
    __table_args__ = (UniqueConstraint("study", "arch", "task", "metrics", "seed", "fidelity", "recipe", "attempt"),)

    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    study: Mapped[str] = mapped_column(init=False, default="")
    arch: Mapped[str] = mapped_column(index=True)
    task: Mapped[str]
    metrics: Mapped[str]
    reason: Mapped[str]
    message: Mapped[str]
    attempt: Mapped[int] = mapped_column(default=1)
    seed: Mapped[int] = mapped_column(default=0)
    fidelity: Mapped[int] = mapped_column(default=0)
    recipe: Mapped[str] = mapped_column(default="")
    seconds: Mapped[float] = mapped_column(default=0.0)
    created: Mapped[str] = mapped_column(default_factory=_now)
    machine: Mapped[str] = mapped_column(default_factory=machine_name)


class Proposed(Row):
    """An arch that a search method chose to evaluate, stored before it is.

    Attributes:
        number: 0 for the first of the study.
        batch: proposals of one batch were chosen together.
        arch: the arch's key.
        proposed_by: how it came to be proposed, one word.
        acquisition_value: what made it better than others, on the method's own scale; None where nothing did.
        created: UTC time in ISO 8601.
    """

    __tablename__ = "proposals"
    __table_args__ = (UniqueConstraint("study", "arch"),)

    study: Mapped[str] = mapped_column(init=False, default="", primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    batch: Mapped[int]
    arch: Mapped[str]
    proposed_by: Mapped[str]
    acquisition_value: Mapped[float | None] = mapped_column(default=None)
    created: Mapped[str] = mapped_column(default_factory=_now)


class Prediction(Row):
    """What was predicted of a metric of an arch when it was proposed, before any of its values was known.

    Attributes:
        arch: the arch's key.
        metric: name with its target.
        median: in the metric's unit.
        low: where the central 90 % interval of a value as it will be evaluated begins, noise included.
        high: where it ends.
        created: UTC time in ISO 8601.
    """

    __tablename__ = "predictions"

    study: Mapped[str] = mapped_column(init=False, default="", primary_key=True)
    arch: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    median: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    created: Mapped[str] = mapped_column(default_factory=_now)


class SessionRecord(Row):
    """One time that a process opened a study to evaluate.

    Attributes:
        command: as it was typed, without passwords; empty for a program of the user's own.
        versions: of gennas, Python and the packages that values depend on: a JSON object.
        created: UTC time in ISO 8601.
        machine: of the process.
    """

    __tablename__ = "sessions"
    __table_args__ = (UniqueConstraint("study", "created", "command"),)

    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    study: Mapped[str] = mapped_column(init=False, default="")
    command: Mapped[str]
    versions: Mapped[str] = mapped_column(default_factory=versions_text)
    created: Mapped[str] = mapped_column(default_factory=_now)
    machine: Mapped[str] = mapped_column(default_factory=machine_name)


class StudyRecord(Row):
    """A study of the database.

    Attributes:
        name: as its rows have it.
        settings: its settings and their format, as JSON; empty where only its folder knows them, after an upgrade.
        created: UTC time in ISO 8601.
    """

    __tablename__ = "studies"

    name: Mapped[str] = mapped_column(primary_key=True)
    settings: Mapped[str]
    created: Mapped[str] = mapped_column(default_factory=_now)


class FormatRecord(Row):
    """The one row that says in which format the tables are.

    Attributes:
        number: see :mod:`gennas.studies.formats`.
    """

    __tablename__ = "format"

    id: Mapped[int] = mapped_column(init=False, primary_key=True, autoincrement=False, default=0)
    number: Mapped[int]


class WriterRecord(Row):
    """The process that writes to a study on a server; see :class:`gennas.studies.locks.WriterLock`.

    Attributes:
        study: name of the study.
        owner: random digits of the process.
        host: of the process.
        pid: of the process on its host.
        heartbeat: when the process was last known to be alive: seconds since 1970.
    """

    __tablename__ = "writers"

    study: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    heartbeat: Mapped[float]


def defect_of(table: FromClause, row: Mapping[str, Any]) -> str:
    """What is wrong with a row as it was read; empty where it is sound: files of SQLite may hold anything."""
    for column in table.columns:
        if column.key not in row:
            return f"table {table.description} lacks {column.key}"
        value, expected = row[column.key], column.type.python_type
        is_number = expected is float and isinstance(value, int)
        if not (isinstance(value, expected) or is_number or (value is None and column.nullable)):
            return f"{column.key} of a row in table {table.description} is {value!r}, expected {expected.__name__}"
    if table is Evaluation.__table__ and (defect := implausible(row["metric"], row["value"])):
        return f"of {row['arch']} {defect}"
    return ""


def evaluations_of(
    evaluator: Evaluator,
    arch: Arch,
    task: Task,
    values: Mapping[str, float],
    *,
    seed: int = 0,
    fidelity: int | None = None,
    seconds: float = 0.0,
) -> list[Evaluation]:
    """The rows of what an evaluator gave.

    Args:
        evaluator: tells the source, and which conditions its values depend on.
        arch: what was evaluated.
        task: what for; a value that names another task is of that one.
        values: metric names with their target -> values.
        seed: that the evaluator was given.
        fidelity: that the evaluator was given.
        seconds: that the evaluation took.

    Raises:
        InvalidInputError: a name that is no metric's.
        UnknownNameError: no metric of that name.
    """
    conditions = evaluator.conditions_of(arch, seed, fidelity)
    return [
        Evaluation(
            arch=arch.key,
            space=arch.space,
            task=task_of(name, task),
            metric=name,
            value=value,
            source=evaluator.source,
            hardware=_hardware(name),
            seed=conditions.seed,
            fidelity=conditions.fidelity,
            seconds=seconds,
            recipe=conditions.recipe,
        )
        for name, value in values.items()
    ]


def failure_row(
    evaluator: Evaluator,
    arch: Arch,
    task: Task,
    reason: str,
    message: str,
    *,
    seed: int = 0,
    fidelity: int | None = None,
    seconds: float = 0.0,
    attempt: int = 1,
) -> Failure:
    """The row of an evaluation that gave nothing.

    Args:
        evaluator: tells what it would have given, and which conditions that depends on.
        arch: what was evaluated.
        task: what for.
        reason: see :class:`Failure`, as are ``message``, ``seconds`` and ``attempt``.
        message: see there.
        seed: that the evaluator was given.
        fidelity: that the evaluator was given.
        seconds: see there.
        attempt: see there.
    """
    return Failure(
        arch=arch.key,
        task=task.name,
        metrics=",".join(evaluator.metrics(task)),
        reason=reason,
        message=message,
        attempt=attempt,
        seconds=seconds,
        **vars(evaluator.conditions_of(arch, seed, fidelity)),
    )


def task_of(metric: str, task: Task) -> str:
    """The task that a value belongs to: that of the metric where it names one, as whoever evaluates for several tasks
    at once reports them together.

    Args:
        metric: name with its target, also with ``test_`` before it.
        task: that the evaluator was given.
    """
    parsed = Metric.parse(metric.removeprefix("test_"))
    return parsed.target if parsed.kind.scope == "task" and parsed.target else task.name


def _hardware(metric: str) -> str:
    # What is only reported is a metric too, though nothing may be chosen by it.
    parsed = Metric.parse(metric.removeprefix("test_"))
    return parsed.target or "" if parsed.kind.scope == "hardware" else ""


def mean_values(rows: Iterable[EvaluationColumns]) -> dict[str, float]:
    """Metric -> the mean over what is known of one arch, e.g. with several seeds."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.metric, []).append(row.value)
    return {metric: fmean(values) for metric, values in found.items()}
