"""What a search runs with beside its problem: where it is stored, who works, and what evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gennas.checkpoint import Checkpoint
from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.executors.base import Executor
from gennas.executors.processes import ProcessExecutor
from gennas.problem import Problem
from gennas.search.policies.choice import ChosenPolicy
from gennas.spaces.network_part import stored_space
from gennas.studies.cache import Cache
from gennas.studies.folder import read_note
from gennas.studies.image_place import kind_setting, note_images, refuse_renamed
from gennas.studies.study import SessionRecord, Study
from gennas.tables import Table, load_table
from gennas.tasks import Task
from gennas.training.network_files import task_folder
from gennas.training.recipe import Recipe


@dataclass(frozen=True)
class Storage:
    """Where a study is kept.

    Args:
        folder: run folder, see :class:`gennas.studies.study.Study`; None for a study that ends with the process.
        database: SQLAlchemy URL of the study's rows; None for a file in the folder.
        cache: SQLAlchemy URL of a database of evaluations that runs share.
        name: of the study in its database, where it can be resumed from another folder; None for one at random.
        command: that is run, for whoever wants to repeat it; without passwords.
    """

    folder: Path | None = None
    database: str | None = None
    cache: str | None = None
    name: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.folder is not None:
            # Whoever does not check types writes a string.
            object.__setattr__(self, "folder", Path(self.folder))

    @classmethod
    def of(cls, study: str | Path | Storage | None) -> Storage:
        """What was given, or the folder that it names."""
        if isinstance(study, Storage):
            return study
        return cls(None if study is None else Path(study))

    def open(self, config: Mapping[str, Any], tasks: Sequence[Task] = ()) -> Study:
        """The study, for writing.

        Args:
            config: its settings.
            tasks: whose images are noted for whoever exports or reports later, see
                :mod:`gennas.studies.image_place`; the first one's in the run folder.

        Raises:
            StudyError: it belongs to other settings, or another process is writing to it.
            InvalidInputError: a database without a folder.
        """
        if self.folder is None:
            if self.database is not None:
                raise InvalidInputError("database was given without folder; the settings of a study are kept there.")
            return Study.in_memory()
        if (note := read_note(self.folder)) is not None:
            refuse_renamed(self.folder, note.settings, config)
        study = Study.open(self.folder, config, self.database, self.name)
        try:
            study.add([SessionRecord(command=self.command)])
            # Of use later, and nothing that a run needs.
            with suppress(OSError):
                for place, task in enumerate(tasks):
                    note_images(task_folder(self.folder, task.name) if place else self.folder, task)
        except BaseException:
            study.close()
            raise
        return study

    @contextmanager
    def open_cache(self) -> Iterator[Cache | None]:
        """The evaluations that runs share, until the context ends; None where there are none."""
        if self.cache is None:
            yield None
            return
        with closing(Cache(self.cache)) as cache:
            yield cache


@dataclass(frozen=True)
class Workers:
    """Who evaluates.

    Args:
        count: evaluations at a time, each in a process of its own.
        ray: address of a Ray cluster whose nodes are the workers; ``count`` does not matter then.
        timeout: seconds after which an evaluation has failed; None for never.
        batch: archs proposed at once; None for as many as there are workers, but 5 where all evaluators are instant.

    Raises:
        InvalidInputError: a value below its least.
    """

    count: int = 1
    ray: str | None = None
    timeout: float | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        for name in ("count", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInputError(
                    f"is {value}; must be at least 1.", argument="workers" if name == "count" else name
                )
        if self.timeout is not None and self.timeout <= 0:
            raise InvalidInputError(f"is {self.timeout:g} seconds; must be above 0.", argument="timeout")

    def executor(self) -> Executor:
        """Starts the workers.

        Raises:
            InvalidInputError: Ray is not installed, or not at the address.
        """
        if self.ray is None:
            return ProcessExecutor(self.count)
        from gennas.executors.ray_cluster import RayExecutor

        return RayExecutor(self.ray)


@dataclass(frozen=True)
class Measuring:
    """How archs are evaluated, where no evaluators are given.

    Args:
        table: answers in place of trainings and measurements; a name of :data:`gennas.tables.TABLES`, or a table.
        recipe: how networks are trained.
        latency: how latency on this machine is measured.
        supernet: folder of a supernet, whose weights give accuracies in place of trainings.
    """

    table: Table | str | None = None
    recipe: Recipe = Recipe()  # noqa: RUF009 - frozen
    latency: LatencySpec = LatencySpec()  # noqa: RUF009 - frozen
    supernet: Path | str | None = None

    def loaded(self) -> Table | None:
        """The table.

        Raises:
            UnknownNameError: no table of that name.
            DataMissingError: its files are not there.
        """
        return load_table(self.table) if isinstance(self.table, str) else self.table


def study_config(
    problem: Problem,
    chosen: ChosenPolicy,
    *,
    seed: int,
    checkpoint: Checkpoint | None = None,
    table: Table | None = None,
    measuring: Measuring | None = None,
    batch: int | None = None,
    several: bool = False,
) -> dict[str, Any]:
    """What all rows and proposals of a study depend on. The budget is not part of it, so that it can be raised.

    Args:
        problem: what is searched for.
        chosen: who proposes.
        seed: of everything.
        checkpoint: as the user gave it; None for the one of the space's name.
        table: that answers.
        measuring: how archs are evaluated; None where the caller evaluates them.
        batch: archs proposed at once; None where the caller decides.
        several: whether several evaluations run at a time; proposals wait for results in another order then.
    """
    task, *others = (_task_config(one, table) for one in problem.tasks)
    trains = measuring is not None and table is None
    return {
        "space": stored_space(problem.space),
        "task": task,
        "objective": str(problem.objective),
        "where": [str(constraint) for constraint in problem.where],
        "method": chosen.name,
        "options": dict(chosen.options),
        "prior": chosen.prior,
        "table": None if table is None else table.identity,
        "recipe": measuring.recipe.settings if measuring and trains else None,
        "latency": measuring.latency.conditions if measuring and trains else None,
        "batch": batch,
        "several": several,
        "seed": seed,
        "checkpoint": None if checkpoint is None else checkpoint.fingerprints,
        "predicted": None,
        # Studies of earlier versions do not know it.
        **({} if problem.among is None else {"among": problem.among.fingerprint}),
        **({"others": {str(one["name"]): one for one in others}} if others else {}),
    }


def _task_config(task: Task, table: Table | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": task.name, "input_shape": list(task.input_shape), **kind_setting(task)}
    if table is None and task.source is not None:
        # Not where they are: the same images at another place are the same task.
        facts["images"] = task.splits().fingerprint
    return facts
