"""What the user told of a task and of devices, put into a predictor: evaluated archs and stored hardware."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gennas.arch import Arch
from gennas.hardware import store
from gennas.predictors.base import Predictor
from gennas.spaces import Space


@dataclass(frozen=True)
class Evaluated:
    """Archs with the accuracies that they truly have on a task.

    Attributes:
        archs: ``k`` distinct archs.
        accuracy: ``(k,)`` fractions.
    """

    archs: tuple[Arch, ...]
    accuracy: np.ndarray


def with_observations(
    predictor: Predictor, space: Space, task: str, evaluated: Evaluated | None, targets: Iterable[str]
) -> tuple[Predictor, tuple[str, ...]]:
    """A predictor that also knows the user's devices, and the task of evaluated archs, with notes on how well.

    Args:
        predictor: of a checkpoint.
        space: of its archs.
        task: name of the task that ``evaluated`` is about.
        evaluated: accuracies of some archs; None for nothing.
        targets: names of hardware that are asked about; unknown ones are left to whoever asks.

    Raises:
        InvalidInputError: the predictor cannot learn from them.
    """
    from gennas.predictors.few_shot import adapt_hardware, adapt_task

    notes = []
    known = predictor.targets("latency_ms")
    for name in dict.fromkeys(targets):
        if name in known or name not in store.names(space.name):
            continue
        device = store.load(space.name, name)
        measured = [space.parse(key) for key in device.keys]
        predictor, report = adapt_hardware(predictor, space, name, measured, device.latency_ms)
        ranked = f"leave-one-out rank correlation {report.spearman:.2f}, " if report.archs >= 5 else ""
        notes.append(
            f"latency_ms@{name} is foretold from {report.archs} measurements and {len(known)} known devices; "
            f"{ranked}median relative error {report.relative_error:.0%}."
        )
        notes += [report.advice] if report.advice else []
    if evaluated is not None:
        predictor, report = adapt_task(predictor, space, task, evaluated.archs, evaluated.accuracy)
        tested = f"; leave-one-out rank correlation {report.spearman:.2f}" if report.archs >= 5 else ""
        notes.append(
            f"accuracy@{task} is foretold from {report.archs} evaluated archs and the tasks that the predictor knows"
            f"{tested}."
        )
    return predictor, tuple(notes)
