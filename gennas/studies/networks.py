"""The trained networks of a study: which there are, which is the best, and what is known of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gennas.arch import Arch
from gennas.errors import DataMissingError, GennasError, InvalidInputError, StudyError, short
from gennas.export.card import Number
from gennas.export.trained import KeptNetwork
from gennas.metrics import Constraint, Objective
from gennas.spaces import Space, registered_space
from gennas.spaces.network_part import network_space, with_stored_choices
from gennas.spaces.skeleton import skeleton_text
from gennas.studies.image_place import folder_of, known_as, noted_task, opened_task, stored_tasks
from gennas.studies.records import Evaluation, mean_values
from gennas.studies.study import Study
from gennas.tasks import Task
from gennas.tasks.base import shape_text
from gennas.training.network_files import NETWORKS, WEIGHTS, folder_name


class StudyNetworks:
    """The networks that a search or a validation trained.

    Args:
        study: of the run.
        task: that it was for, one of several; by its images where it was renamed.
        space: of the archs; None for the one that the study names.

    Raises:
        StudyError: the study is of no run that trains networks.
        InvalidInputError: the space or the task is not the study's.
    """

    def __init__(self, study: Study, task: Task, space: Space | None = None) -> None:
        stored = _part(study, "space")
        settings = skeleton_text(stored.get("skeleton", {}))
        kind = registered_space(str(stored["name"])) if space is None else network_space(space)
        named = type(kind).with_skeleton(settings)
        if named.name != stored["name"]:
            raise InvalidInputError(
                f"is {named.name!r}, but {study.folder} is a study of {stored['name']!r}; leave it out.",
                argument="space",
            )
        task = known_as(task, study.config)
        _expect_task(study, task)
        self.study, self.space, self.task = study, with_stored_choices(named, stored), task
        self._rows: dict[str, list[Evaluation]] = {}
        for row in study.find():
            self._rows.setdefault(row.arch, []).append(row)

    def folder(self, key: str) -> Path:
        """Where the network of an arch is, or would be."""
        return self._place / NETWORKS / folder_name(key)

    @property
    def exports(self) -> Path:
        """Where networks are exported to by default: each task has a place of its own, as one arch may serve both."""
        return self._place / "exports"

    @property
    def _place(self) -> Path:
        return folder_of(self.study.folder, self.study.config, self.task.name)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the archs whose weights are there."""
        return tuple(key for key in self._rows if (self.folder(key) / WEIGHTS).is_file())

    def load(self, key: str | None = None) -> KeptNetwork:
        """The network of an arch, with its weights: that of :meth:`trained`.

        Args:
            key: the arch in any notation of its space; None for the best.

        Raises:
            InvalidArchError, InvalidInputError, DataMissingError: as of :meth:`trained`; or its files are damaged.
        """
        arch = self.space.parse(self.best() if key is None else self.trained(key))
        return KeptNetwork.load(self.folder(arch.key), self.space, arch, self.task)

    def trained(self, key: str) -> str:
        """Key in the study of the arch whose network stands for an arch: its own, or that of one that computes the same
        where that was trained in its place. In a joint space it has the further choices, which a network does not.

        Args:
            key: the arch in any notation of its space.

        Raises:
            InvalidArchError: the key is none of the space.
            InvalidInputError: the study does not know the arch.
        """
        (arch,) = self.space.canonicalised([self.space.parse(key)])
        if arch.key not in self._rows:
            raise InvalidInputError(
                f"{short(arch.key)} is not in the study {self.study.folder}, which has {len(self._rows)} archs. List "
                f"them with Study({str(self.study.folder)!r}).frame(), or leave the key out for the best."
            )
        if arch.key not in self.keys and (twin := self._same_function(arch)) is not None:
            arch = twin
        return arch.key

    def _same_function(self, arch: Arch) -> Arch | None:
        """The arch that was trained in the place of another one, as both compute the same."""
        wanted = self.space.canonical(arch)
        trained = (self.space.parse(key) for key in self.keys)
        return next((other for other in trained if self.space.canonical(other) == wanted), None)

    def best(self) -> str:
        """Key of the best arch whose network is there.

        By the study's objective if it is a single one; by accuracy on validation images, or the score of another kind
        of targets, if it has several, and where that is equal, by the others. Archs that break a bound of the study are
        left out, unless all do.

        Raises:
            DataMissingError: there are no networks.
        """
        keys = self.keys
        if not keys:
            raise DataMissingError(
                f"{self.study.folder} has no trained networks; run 'gennas validate' or a 'gennas search' without "
                "a table first."
            )
        metric, sign = f"{self.task.targets.score}@{self.task.name}", 1.0
        objective = self.study.config.get("objective")
        wanted = Objective.parse(objective).metrics if isinstance(objective, str) else ()
        if len(wanted) == 1:
            metric, sign = wanted[0].name, wanted[0].kind.sign
        values = {key: self.values(key) for key in keys}
        known = [key for key in keys if metric in values[key]] or list(keys)
        bounds = [Constraint.parse(text) for text in self.study.config.get("where") or ()]
        kept = [
            key
            for key in known
            if all(bound.metric.name in values[key] and bound.holds(values[key][bound.metric.name]) for bound in bounds)
        ]

        def merit(key: str) -> tuple[float, ...]:
            """What decides first, and then the other objectives: of equal accuracies, the faster network."""
            signs = {metric: sign, **{one.name: one.kind.sign for one in wanted}}
            return tuple(one * values[key].get(name, -one * float("inf")) for name, one in signs.items())

        return max(kept or known, key=merit)

    def values(self, key: str) -> dict[str, float]:
        """Metric -> the mean over seeds of what is known of an arch."""
        return mean_values(self._rows.get(key, ()))

    def numbers(self, key: str) -> list[Number]:
        """What is known of an arch, for the card of its network."""
        return [
            Number(row.metric, row.value, row.source, row.seed, row.fidelity, row.machine)
            for row in self._rows.get(key, ())
        ]


def study_task(study: Study, name: str | None, *, nested: bool = False) -> Task:
    """The task of a study, whose images have the size that the study was made with.

    Args:
        study: of a run.
        name: of the task, or the path of its images, which may have been renamed; None for where they were when the
            study last ran, or the name in the study.
        nested: whether images in subfolders of class folders are read.

    Raises:
        InvalidInputError: no name was given, and the study's is that of a folder that is there no longer.
    """
    stored, tasks = _part(study, "task"), stored_tasks(study.config)
    is_known = name is None or (len(tasks) > 1 and name in tasks)
    if is_known and (noted := noted_task(study.folder, study.config, name)) is not None:
        return noted
    chosen = name or str(stored["name"])
    try:
        return opened_task(chosen, study.config, nested=nested)
    except GennasError as error:
        if name is None:
            raise InvalidInputError(
                f"is needed: the images of {chosen!r}, which {study.folder} was made with, are not known by that name. "
                "Give their folder.",
                argument="task",
            ) from error
        raise


def _part(study: Study, name: str) -> Mapping[str, Any]:
    part = study.config.get(name)
    if not isinstance(part, Mapping) or "name" not in part:
        raise StudyError(f"{study.folder} is not a run of gennas search or validate: its settings name no {name}.")
    return part


def _expect_task(study: Study, task: Task) -> None:
    """Raises InvalidInputError for another task than the study's."""
    tasks = stored_tasks(study.config)
    stored = tasks.get(task.name)
    if stored is None and not (task.has_images and any("images" in part for part in tasks.values())):
        raise InvalidInputError(
            f"is {task.name!r}, but {study.folder} was made with {', '.join(map(repr, tasks))}; give the task of the "
            "run.",
            argument="task",
        )
    if stored is not None:
        shape, kind = stored.get("input_shape", task.input_shape), stored.get("targets", task.targets.name)
        if (*shape, kind) != (*task.input_shape, task.targets.name):
            raise InvalidInputError(
                f"is {task.name!r}, a {task.targets.name} with inputs of {shape_text(task.input_shape)}, but "
                f"{study.folder} was made with a {kind} with inputs of {shape_text(shape)}; give the task of the run.",
                argument="task",
            )
        tasks = {task.name: stored}
    known = {name: str(part["images"]) for name, part in tasks.items() if "images" in part}
    if task.has_images and known and (own := task.splits().fingerprint) != known.get(task.name):
        before = ", ".join(f"{name!r} ({images})" for name, images in known.items())
        raise InvalidInputError(
            f"is {task.name!r} with other images ({own}) than those that {study.folder} was made with: {before}; give "
            "the images of the run.",
            argument="task",
        )
