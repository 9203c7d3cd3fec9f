"""Adapting a predictor to the user's own data: evaluated archs and stored hardware."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gennas.arch import Arch
from gennas.hardware import store
from gennas.predictors.base import Predictor
from gennas.spaces import Space

if TYPE_CHECKING:
    from gennas.predictors.few_shot import FewShotReport
    from gennas.training.recipe import Recipe


@dataclass(frozen=True)
class Evaluated:
    """Archs with measured accuracies on a task.

    Attributes:
        archs: ``k`` distinct archs.
        accuracy: ``(k,)`` accuracies, as fractions.
        notes: what the user should know of where they were read, in sentences.
        is_of_space: whether networks of the space's own skeleton have these accuracies; others rank archs alike.
        recipes: hash and seed of each recipe by which these were trained; none where nobody knows.
    """

    archs: tuple[Arch, ...]
    accuracy: np.ndarray
    notes: tuple[str, ...] = ()
    is_of_space: bool = True
    recipes: frozenset[tuple[str, int]] = frozenset()

    def is_trained_by(self, recipe: Recipe) -> bool:
        """Whether all networks are known to have been trained by a recipe, with any seed."""
        return bool(self.recipes) and all(replace(recipe, seed=seed).hash == found for found, seed in self.recipes)


def with_observations(
    predictor: Predictor, space: Space, task: str, evaluated: Evaluated | None, targets: Iterable[str]
) -> tuple[Predictor, tuple[str, ...]]:
    """Adapts a predictor to the user's stored hardware, and to a task by evaluated archs.

    Args:
        predictor: a trained predictor.
        space: space of its archs.
        task: name of the task that ``evaluated`` belongs to.
        evaluated: accuracies of some archs on the task, if any.
        targets: names of hardware to adapt to; those that are not stored are ignored.

    Returns:
        The adapted predictor, and sentences on its quality.

    Raises:
        InvalidInputError: the predictor does not support adaptation.
    """
    from gennas.predictors.few_shot import adapt_hardware, adapt_task

    notes = list(evaluated.notes) if evaluated is not None else []
    known = predictor.targets("latency_ms")
    for name in dict.fromkeys(targets):
        if name in known or name not in store.names(space.name):
            continue
        device = store.load(space.name, name)
        measured = [space.parse(key) for key in device.keys]
        predictor, report = adapt_hardware(predictor, space, name, measured, device.latency_ms)
        is_known = not np.isnan(report.spearman)
        ranked = f"leave-one-out rank correlation {report.spearman:.2f}, " if is_known else ""
        notes.append(
            f"latency_ms@{name} is predicted from {report.archs} measurements and {len(known)} known devices; "
            f"{ranked}median relative error {report.relative_error:.0%}."
        )
        notes += [report.advice] if report.advice else []
    if evaluated is not None and np.ptp(evaluated.accuracy) == 0:
        notes.append(
            f"accuracy@{task} is {evaluated.accuracy[0]:.4g} for all {len(evaluated.archs)} evaluated archs, so that "
            "nothing can be learnt of it from them; other metrics are not affected. Evaluate archs that differ more, "
            "or on a harder task."
        )
    elif evaluated is not None:
        predictor, report = adapt_task(predictor, space, task, evaluated.archs, evaluated.accuracy)
        notes.append(f"accuracy@{task} is predicted from {_quality(report)}")
    return predictor, tuple(notes)


def _quality(report: FewShotReport) -> str:
    from gennas.predictors.few_shot import MIN_LEAVE_ONE_OUT
    from gennas.predictors.task_fit import OWN_SCALE_LABELS

    known = f"{report.archs} evaluated archs and the known tasks"
    if report.archs < MIN_LEAVE_ONE_OUT:
        return f"{known}."
    few = ""
    if report.archs < OWN_SCALE_LABELS:
        few = f" Its values are rough: from {OWN_SCALE_LABELS} evaluated archs on, these tell its scale."
    if np.isnan([report.spearman, report.coverage90]).any():
        return (
            f"{known}; how well cannot be estimated, because too few of these accuracies, or of what is predicted of "
            f"them, differ: evaluate more archs.{few}"
        )
    return (
        f"{known}; held-out archs: rank correlation {report.spearman:.2f}, {report.coverage90:.0%} within their 90 % "
        f"intervals.{few}"
    )
