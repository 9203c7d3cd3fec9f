"""Calibration on a task: a few networks are trained on its images, once, which narrows what is forecast of all."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from gennas.arch import Arch
from gennas.documents import read_json
from gennas.errors import InvalidInputError
from gennas.evaluators.calibration import Calibrate
from gennas.files import write_json
from gennas.paths import gennas_home
from gennas.predictors.meta.applied import AccuracyForecast
from gennas.predictors.meta.forecast import TaskForecast
from gennas.progress import progress
from gennas.spaces import Space
from gennas.tasks import ImageSource, Split, Splits, Task
from gennas.tasks.base import image_shape, stratified
from gennas.training.recipe import RECIPES, Recipe
from gennas.training.stacked.fitting import Member, train_stack

_LOG = logging.getLogger(__name__)

#: Networks that are trained.
COUNT = 3
#: Images that each of their accuracies is measured on, where the task has as many for it.
TESTED = 150
#: Work that nobody is made to wait for: images of 16x16 pixels that pass through a network and back. Here a core
#: trains 2,500 of them in a second.
MOST_PASSES = 60_000
#: Archs that the informative ones are chosen among.
_CANDIDATES = 512


@dataclass(frozen=True)
class Trained:
    """What came of the networks that were trained on a task.

    Attributes:
        accuracy: of each, on images that they were not trained on, as fractions.
        images: how many these were.
        seconds: that the trainings took.
    """

    accuracy: tuple[float, ...]
    images: int
    seconds: float


def calibrated(found: AccuracyForecast, space: Space, task: Task, calibrate: Calibrate) -> AccuracyForecast:
    """A forecast from images, after a few networks were trained on them, now or before.

    Where few images are held out for validation, each network is trained several times, on different parts of the
    images. Images for testing are not looked at.

    Args:
        found: the forecast; one without a recipe stays as it is.
        space: with the skeleton of the networks.
        task: has the images.
        calibrate: whether to train.

    Returns:
        The forecast; the same one where training would take longer than anybody waits for, or where nothing was trained
        before and nothing may be.

    Raises:
        InvalidInputError: the images cannot be read.
    """
    recipe = RECIPES.get(found.recipe)
    if found.forecast is None or recipe is None or calibrate == "never" or not space.trains_at_once:
        return found
    _, height, width = image_shape(task, "a forecast")
    passes = recipe.epochs * len(task.splits().train) * count_folds(task.splits()) * height * width / 16**2
    if not (count := min(COUNT, int(MOST_PASSES / passes))):
        return found
    archs = informative(found.forecast, space, count)
    facts = [space.name, dict(space.skeleton), recipe.hash, task.splits().fingerprint, list(task.input_shape)]
    path = _path(json.dumps([*facts, [arch.key for arch in archs]]))
    trained = None if calibrate == "again" else _read(path, count)
    if trained is None:
        if (trained := _train(space, task, recipe, archs)) is None:
            return found
        # What is kept only saves time.
        with suppress(OSError, InvalidInputError):
            write_json(path, asdict(trained))
    forecast = found.forecast.updated(archs, np.array(trained.accuracy), trained.images)
    note = f"{len(archs)} networks were trained on its images to calibrate it, once, in {trained.seconds:.0f} s."
    return replace(found, forecast=forecast, note=f"{found.note} {note}")


def informative(forecast: TaskForecast, space: Space, count: int) -> list[Arch]:
    """The archs whose accuracies would say the most about those of others; the same for every call.

    Args:
        forecast: of the accuracies.
        space: of the archs.
        count: how many.
    """
    rng = np.random.default_rng(0)
    drawn = (space.canonical(space.sample(rng)) for _ in range(_CANDIDATES))
    archs = [arch for arch in dict.fromkeys(drawn) if not space.is_constant(arch)]
    return [archs[row] for row in forecast.informative(forecast.basis.of(archs), count)]


def count_folds(splits: Splits) -> int:
    """How many parts :func:`folds` makes."""
    return min(-(-TESTED // len(splits.val)), _most_folds(splits))


def _most_folds(splits: Splits) -> int:
    """Parts as large as the validation split into which training and validation images divide."""
    return max((len(splits.train) + len(splits.val)) // len(splits.val), 2)


def folds(splits: Splits) -> list[Splits]:
    """Parts of the training and validation images to train and to measure on, without images for testing.

    They are the task's own where it has :data:`TESTED` validation images. Otherwise every part holds out others, and as
    many, until they are enough or all images were held out once.
    """
    own = replace(splits, test=None)
    if len(splits.val) >= TESTED:
        return [own]
    images, labels = (
        np.concatenate([getattr(split, name) for split in (splits.train, splits.val)]) for name in ("images", "labels")
    )
    every, most, found = Split(images, labels), _most_folds(splits), list[Splits]()
    for rows in stratified(labels, [1 / most] * (most - 1), seed=0)[: count_folds(splits)]:
        is_train = np.ones(len(labels), dtype=bool)
        is_train[rows] = False
        found.append(Splits(every.take(np.flatnonzero(is_train)), every.take(rows), None))
    return found


class _Part(ImageSource):
    """Images that are in memory."""

    def __init__(self, splits: Splits) -> None:
        self.splits = splits

    def read(self, seed: int) -> Splits:
        return self.splits


def _train(space: Space, task: Task, recipe: Recipe, archs: list[Arch]) -> Trained | None:
    """Trains every arch on every fold; None where a training diverged."""
    name, begun, parts = f"accuracy@{task.name}", time.monotonic(), folds(task.splits())
    hits, tested = np.zeros(len(archs)), sum(len(part.val) for part in parts)
    title = f"training {len(archs)} networks on {task.name}, once"
    with progress(title, len(archs) * len(parts)) as report:
        for seed, part in enumerate(parts):
            own = replace(task, source=_Part(part))
            for row, arch in enumerate(archs):
                (one,) = train_stack(space, [Member(arch, own, seed)], recipe)
                if one.error is not None:
                    _LOG.warning("accuracies are not calibrated: %s", one.error)
                    return None
                hits[row] += one.metrics[name] * len(part.val)
                report(seed * len(archs) + row + 1, f"{name} {one.metrics[name]:.3f}")
    accuracy = tuple((hits / tested).tolist())
    return Trained(accuracy, tested, time.monotonic() - begun)


def _path(facts: str) -> Path:
    return gennas_home() / "cache" / "trained" / f"{sha256(facts.encode()).hexdigest()[:16]}.json"


def _read(path: Path, count: int) -> Trained | None:
    """What was kept; None where there is nothing that can be read: it is only trained again."""
    try:
        document = read_json(path)
        accuracy = tuple(float(value) for value in document["accuracy"])
        images, seconds = int(document["images"]), float(document["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_whole = len(accuracy) == count and images > 0 and all(0 <= value <= 1 for value in accuracy)
    return Trained(accuracy, images, seconds) if is_whole else None
