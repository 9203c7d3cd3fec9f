"""Reading evaluated archs of a file or a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from gennas.arch import Arch
from gennas.commands import command
from gennas.errors import InvalidInputError, short
from gennas.hardware.target import HardwareTarget
from gennas.metrics import COST_METRICS, DERIVED_COSTS, Metric
from gennas.predictors.transfer import Evaluated
from gennas.problem import Problem
from gennas.settings import differences
from gennas.spaces import Space, space_option
from gennas.spaces.costs import all_costs
from gennas.spaces.network_part import stored_space
from gennas.studies.collected_tasks import collected_tasks
from gennas.studies.image_place import stored_tasks
from gennas.studies.study import Study
from gennas.studies.study_values import comparable_means, defect_of
from gennas.tables.arch_csv import Column, names_of, near_names, read_columns
from gennas.tables.units import read_as_seconds
from gennas.tasks.listing import some

#: Fewer evaluated archs than these say nothing about a task.
FEWEST = 3
_EXPECTED = "expected archs or their keys with metric names and values, e.g. {key: {'accuracy': 0.93}}"
ACCURACY = Column("accuracy", "evaluated", "a fraction", "0.93", "or give a folder that 'gennas validate --out' wrote")


def read_evaluated(path: Path, space: Space, task: str, more: str = "Evaluate more.") -> Evaluated:
    """Evaluated archs of a file or a run folder.

    Accuracies of another skeleton are accepted, and named in the notes: what ranks archs in one ranks them in another.

    Args:
        path: a CSV with the columns ``key,accuracy`` (fractions), others are named in the notes; or a folder that
            ``gennas validate`` wrote.
        space: of the archs.
        task: whose accuracies are looked for in a run folder.
        more: what to do where these are too few, as a sentence.

    Raises:
        InvalidInputError: it cannot be read, a row is not valid (named by its line), or it has fewer than three
            archs.
        StudyError: a folder that is not a study.
    """
    notes: tuple[str, ...] = ()
    other, of, recipes = list[str](), "", frozenset[tuple[str, int]]()
    if path.is_dir():
        study = Study(path)
        tasks = stored_tasks(study.config)
        if tasks and task not in tasks:
            of = f"is of {'task' if len(tasks) == 1 else 'tasks'} {' and '.join(map(repr, tasks))}, and "
        means = comparable_means(study, space, f"accuracy@{task}")
        found, recipes = dict(means.values), means.recipes
        notes = (means.note,) if means.note else ()
        if other := _differing(study, {"space": _settings_of(space)}):
            named = f"accuracies of {path} are of another skeleton: {'; '.join(other)}."
            notes = (*notes, f"{named} Use what is predicted from them for ranking.")
    else:
        column = replace(ACCURACY, also=(f"accuracy@{task}",))
        rows = read_columns(path, space, [column], defect_of)
        found = {arch: numbers[ACCURACY.name] for arch, numbers in rows.numbers.items()}
        notes = (_unused(f"columns of {path}", rows.unused, names_of([column])),) if rows.unused else ()
        if any(name.startswith("latency_ms") for name in rows.unused):
            notes += (
                "predictions learn accuracies from evaluated archs; latencies of a device are learnt by: "
                + command("hardware", "add", "NAME", csv=path, space=space_option(space)),
            )
    values = np.array(list(found.values()))
    if len(values) < FEWEST:
        raise InvalidInputError(
            f"{path} {of}has accuracies of {len(values)} archs on task {task!r}; expected at least {FEWEST}. {more}",
            argument="evaluated",
        )
    return Evaluated(tuple(found), values, notes, is_of_space=not other, recipes=recipes)


@dataclass(frozen=True, eq=False)
class Observations:
    """Archs that were evaluated before a search, by the user.

    Attributes:
        values: arch -> metric names with their target -> values in their units, costs among them; at least one is a
            metric of the problem that is no cost.
        notes: what the user should know, in sentences.
    """

    values: Mapping[Arch, Mapping[str, float]]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Given, problem: Problem, but: str = "") -> Observations:
        """What is given, for a problem.

        Args:
            given: archs, or their keys, with metric names and values; or a file or a run folder, see :meth:`read`.
            problem: whose metrics are taken; its target is filled in where a name has none.
            but: see :meth:`read`.

        Raises:
            InvalidArchError: what is no arch of the space.
            InvalidInputError: a file that cannot be read; values without the names of metrics, or out of range; an arch
                without any metric of the problem, or with two values of one.
            UnknownNameError: a metric that does not exist.
        """
        if isinstance(given, Observations):
            return given
        if isinstance(given, str | Path):
            return cls.read(Path(given), problem, but)
        space, unused = problem.space, dict[str, None]()
        names = {
            name: metric.name for metric, also in _evaluated_metrics(problem).items() for name in (metric.name, *also)
        }
        found: dict[Arch, dict[str, float]] = {}
        if not isinstance(given, Mapping):
            raise InvalidInputError(f"is {short(repr(given))}; {_EXPECTED}.", argument="evaluated")
        for key, values in given.items():
            (arch,) = space.canonicalised(space.archs_of([key], "evaluated"))
            if not isinstance(values, Mapping):
                raise InvalidInputError(f"{short(arch.key)} has {values!r}; {_EXPECTED}.", argument="evaluated")
            for name, value in values.items():
                if name not in names:
                    # A word that is misspelt is no metric.
                    Metric.parse(name.removeprefix("test_"))
                    unused[name] = None
                    continue
                if defect := defect_of(arch, names[name], value):
                    raise InvalidInputError(f"{defect}.", argument="evaluated")
                known = found.setdefault(arch, {}).setdefault(names[name], float(value))
                if known != value:
                    raise InvalidInputError(
                        f"{short(arch.key)} has {names[name]} {value:g}, but {known:g} before; give one of them.",
                        argument="evaluated",
                    )
            if arch not in found:
                raise InvalidInputError(
                    f"{short(arch.key)} has none of {', '.join(dict.fromkeys(names.values()))}; give one of them.",
                    argument="evaluated",
                )
        return cls._made(problem, found, tuple(unused), "values")

    @classmethod
    def read(cls, path: Path, problem: Problem, but: str = "") -> Observations:
        """Reads a CSV file with the columns ``key`` and one or more of the problem's metrics, or a run folder.

        Args:
            path: the file, whose columns may be named with or without the target, e.g. ``accuracy`` or
                ``accuracy@digits``; or a folder that ``gennas validate`` or ``gennas search`` wrote.
            problem: whose metrics are taken.
            but: source whose latencies of "this machine" are not taken from a folder: those of a table were measured on
                another machine than what is measured here, though both are called ``cpu``.

        Raises:
            InvalidInputError: it cannot be read, has none of the metrics, or a row is not valid (named by its line); or
                a run folder of another space, skeleton, image size or other images.
            StudyError: a folder that is not a study.
        """
        metrics = _evaluated_metrics(problem)
        if path.is_dir():
            study = Study(path)
            _expect_same(study, problem)
            found: dict[Arch, dict[str, float]] = {}
            notes: list[str] = []
            for metric in metrics:
                is_here = HardwareTarget.parse(str(metric.target)) is not None
                means = comparable_means(study, problem.space, metric.name, but if is_here else "")
                for arch, value in means.values.items():
                    found.setdefault(arch, {})[metric.name] = value
                notes += [means.note] if means.note else []
            if not found:
                raise InvalidInputError(
                    f"{path} holds no {' or '.join(metric.name for metric in metrics)}; give a run folder of this task "
                    "and hardware, or a CSV.",
                    argument="evaluated",
                )
            made = cls._made(problem, found, (), "metrics")
            return replace(made, notes=(*made.notes, *notes))
        columns = [
            Column(
                metric.name,
                "evaluated",
                f"a number ({metric.kind.unit})",
                "0.93",
                ACCURACY.advice,
                also,
            )
            for metric, also in metrics.items()
        ]
        rows = read_columns(path, problem.space, columns, defect_of)
        return cls._made(problem, rows.numbers, rows.unused, "columns", names_of(columns))

    @classmethod
    def _made(
        cls,
        problem: Problem,
        found: Mapping[Arch, Mapping[str, float]],
        unused: Sequence[str],
        what: str,
        columns: Sequence[str] = (),
    ) -> Observations:
        names = dict.fromkeys(name for values in found.values() for name in values)
        plural = "arch" if len(found) == 1 else "archs"
        notes = [f"starts from {len(found)} evaluated {plural}, with {', '.join(names)}."]
        if unused:
            notes.append(_unused(what, unused, columns))
        if lacking := [one.name for one in problem.metrics if not one.is_cost and one.name not in names]:
            notes.append(f"they teach, but none can be among the best: they have no {', '.join(lacking)}.")
        costs = {arch: all_costs(problem.space, arch, problem.task) for arch in found}
        # Networks on graphs move more than they multiply.
        for name in names if len(problem.task.input_shape) == 3 else ():
            if name.startswith("latency_ms@"):
                known = {arch: values[name] for arch, values in found.items() if name in values}
                macs_m = [costs[arch]["macs_m"] for arch in known]
                if defect := read_as_seconds(name, list(known.values()), macs_m):
                    raise InvalidInputError(defect, argument="evaluated")
        return cls({arch: {**costs[arch], **values} for arch, values in found.items()}, tuple(notes))

    @property
    def fingerprint(self) -> str:
        """Of all values that were given: costs are computed, and depend on the size of images."""
        costs = (*COST_METRICS, *DERIVED_COSTS)
        rows = sorted(
            (arch.key, sorted((name, value) for name, value in values.items() if name not in costs))
            for arch, values in self.values.items()
        )
        return sha256(repr(rows).encode()).hexdigest()[:12]


#: Archs or their keys, with metric names and values; a CSV file or a run folder; or what was made of one of these.
Given = Observations | Mapping[str, Mapping[str, float]] | Mapping[Arch, Mapping[str, float]] | str | Path


def _evaluated_metrics(problem: Problem) -> dict[Metric, tuple[str, ...]]:
    """Those that are not computed, each with the other names by which it is known: without its target, where that names
    one of them only."""
    metrics = [metric for metric in problem.metrics if not metric.is_cost]
    kinds = [metric.kind.name for metric in metrics]
    return {metric: (metric.kind.name,) if kinds.count(metric.kind.name) == 1 else () for metric in metrics}


def _unused(what: str, unused: Sequence[str], known: Sequence[str]) -> str:
    """A sentence on names of columns that are not used, and what was probably meant by them."""
    near = near_names(unused, known)
    return f"{what} not used: {', '.join(unused)}{f' ({near})' if near else ''}."


def _settings_of(space: Space) -> dict[str, object]:
    return {**stored_space(space)}


def _expect_same(study: Study, problem: Problem) -> None:
    """Refuses values that are of other networks or other images than those of the problem."""
    differing = _differing(study, {"space": _settings_of(problem.space)})
    stored = stored_tasks(study.config) | collected_tasks(study.folder)
    shared = [task for task in problem.tasks if task.name in stored]
    if stored and not shared:
        differing.append(f"its tasks are {some(stored)}, not {some(task.name for task in problem.tasks)}")
    for task in shared:
        there: Mapping[str, object] = stored[task.name]
        here: dict[str, object] = {"input_shape": list(task.input_shape)}
        # Only then are they read, which takes a while.
        if task.has_images and "images" in there:
            here["images"] = task.splits().fingerprint
        known = {name: there[name] for name in here if name in there}
        differing += differences({task.name: known}, {task.name: {name: here[name] for name in known}})
    if differing:
        raise InvalidInputError(
            f"{study.folder} holds values of other networks or images: {'; '.join(differing)}. Give a run folder of "
            "this space, skeleton and task.",
            argument="evaluated",
        )


def _differing(study: Study, asked: Mapping[str, Mapping[str, object]]) -> list[str]:
    """How a study's settings differ from those asked for, where it has both; a program's own study may have none."""
    stored = {name: part for name in asked if isinstance(part := study.config.get(name), Mapping)}
    return differences(
        {name: {key: value for key, value in part.items() if key in asked[name]} for name, part in stored.items()},
        {name: {key: value for key, value in asked[name].items() if key in part} for name, part in stored.items()},
    )
