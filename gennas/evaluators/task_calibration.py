"""Calibration on a task: a few networks are trained on its images, once, which narrows what is forecast of all."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from gennas.arch import Arch
from gennas.documents import read_json
from gennas.errors import InvalidInputError
from gennas.evaluators.calibration import Calibrate
from gennas.evaluators.timing import torch_threads
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
class Training:
    """What came of a network that was trained on a part of a task's images.

    Attributes:
        accuracy: on images that it was not trained on, a fraction; None where it diverged.
        images: how many these were.
        seconds: that it took.
    """

    accuracy: float | None
    images: int
    seconds: float

    @property
    def hits(self) -> float:
        """Right answers; nan where it diverged."""
        return np.nan if self.accuracy is None else self.accuracy * self.images


def calibrated(found: AccuracyForecast, space: Space, task: Task, calibrate: Calibrate) -> AccuracyForecast:
    """A forecast from images, after a few networks were trained on them, now or before.

    Where gennas itself held out few images for validation, each network is trained several times, on different parts of
    the images. Images for testing are not looked at. The same images give the same trainings, whatever the threads.

    Args:
        found: the forecast; one without a recipe stays as it is.
        space: with the skeleton of the networks.
        task: has the images.
        calibrate: whether to train.

    Returns:
        The forecast; the same one where training would take longer than anybody waits for, where a training diverged,
        or where something is left to be trained and nothing may be.

    Raises:
        InvalidInputError: the images cannot be read.
    """
    recipe = RECIPES.get(found.recipe)
    if found.forecast is None or recipe is None or not space.trains_at_once:
        return found
    _, height, width = image_shape(task, "a forecast")
    splits = replace(task.splits(), test=None)
    parts = count_folds(splits)
    passes = recipe.epochs * len(splits.train) * parts * height * width / 16**2
    if not (count := min(COUNT, int(MOST_PASSES / passes))):
        return found
    archs = informative(found.forecast, space, count)
    facts = [space.name, dict(space.skeleton), recipe.hash, splits.fingerprint, parts, list(task.input_shape)]
    kept = _Kept.at(json.dumps([*facts, [arch.key for arch in archs]]), calibrate == "again")
    if calibrate != "never":
        _train(space, task, splits, recipe, archs, kept)
    trained = [[kept.trainings.get(_name(row, part)) for part in range(parts)] for row in range(count)]
    hits = np.array([[np.nan if one is None else one.hits for one in of_arch] for of_arch in trained]).sum(1)
    if np.isnan(hits).any():
        return found
    images = sum(one.images for one in kept.trainings.values()) // count
    seconds = sum(one.seconds for one in kept.trainings.values())
    networks = f"{count} network{'s were' if count > 1 else ' was'}"
    note = f"{networks} trained on its images to calibrate it, in {seconds:.0f} s."
    return replace(found, forecast=found.forecast.updated(archs, hits / images, images), note=f"{found.note} {note}")


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
    return min(-(-TESTED // len(splits.val)), _most_folds(splits)) if splits.is_drawn else 1


def _most_folds(splits: Splits) -> int:
    """Parts as large as the validation split into which training and validation images divide."""
    return max((len(splits.train) + len(splits.val)) // len(splits.val), 2)


def folds(splits: Splits) -> list[Splits]:
    """Parts of the training and validation images to train and to measure on, without images for testing.

    They are the task's own where it has :data:`TESTED` validation images, or where these were given: they may differ
    from those for training, as those of another day do. Otherwise every part holds out others, and as many, until they
    are enough or all images were held out once.
    """
    if count_folds(splits) == 1:
        return [replace(splits, test=None)]
    images, labels = (
        np.concatenate([getattr(split, name) for split in (splits.train, splits.val)]) for name in ("images", "labels")
    )
    every, most, found = Split(images, labels), _most_folds(splits), list[Splits]()
    # Nothing is held out of classes with one image.
    several = np.flatnonzero(np.bincount(labels)[labels] > 1)
    for part in stratified(labels[several], [1 / most] * (most - 1), seed=0)[: count_folds(splits)]:
        rows, is_train = several[part], np.ones(len(labels), dtype=bool)
        is_train[rows] = False
        found.append(Splits(every.take(np.flatnonzero(is_train)), every.take(rows), None))
    return found


class _Part(ImageSource):
    """Some of a task's images."""

    is_in_memory = True

    def __init__(self, splits: Splits) -> None:
        self.splits = splits

    def read(self, seed: int) -> Splits:
        return self.splits


@dataclass
class _Kept:
    """Trainings of one task, kept in a file as soon as each is done.

    Attributes:
        path: of the file; None where it cannot be written.
        trainings: by their :func:`_name`.
    """

    path: Path | None
    trainings: dict[str, Training]

    @classmethod
    def at(cls, facts: str, is_anew: bool) -> _Kept:
        """Those of a file that is named by facts, or none of them; what cannot be read is only trained again."""
        path = gennas_home() / "cache" / "trained" / f"{sha256(facts.encode()).hexdigest()[:16]}.json"
        try:
            document = {} if is_anew else read_json(path)
            return cls(path, {str(name): _training(found) for name, found in document.items()})
        except (OSError, InvalidInputError, ValueError, KeyError, TypeError, AttributeError):
            return cls(path, {})

    def add(self, name: str, training: Training) -> None:
        self.trainings[name] = training
        if self.path is None:
            return
        try:
            write_json(self.path, {name: asdict(one) for name, one in self.trainings.items()})
        except (OSError, InvalidInputError) as error:
            _LOG.warning("the trainings on this task are not kept: %s", error)
            self.path = None


def _training(facts: Mapping[str, Any]) -> Training:
    """Raises ValueError, KeyError or TypeError for anything but a training."""
    accuracy = None if facts["accuracy"] is None else float(facts["accuracy"])
    found = Training(accuracy, int(facts["images"]), float(facts["seconds"]))
    if found.images < 1 or not (accuracy is None or 0 <= accuracy <= 1):
        raise ValueError(f"no training: {facts}")
    return found


def _name(row: int, part: int) -> str:
    return f"arch {row}, part {part}"


def _train(space: Space, task: Task, splits: Splits, recipe: Recipe, archs: Sequence[Arch], kept: _Kept) -> None:
    """Trains every arch on every part that is not kept, up to the first training that diverges."""
    planned = [(part, row) for part in range(count_folds(splits)) for row in range(len(archs))]
    missing = [(part, row) for part, row in planned if _name(row, part) not in kept.trainings]
    if not missing or any(one.accuracy is None for one in kept.trainings.values()):
        return
    parts, metric = folds(splits), f"accuracy@{task.name}"
    title = f"training {len(archs)} network{'s' * (len(archs) > 1)} on {task.name}, once"
    with torch_threads(1), progress(title, len(missing)) as report:
        for done, (part, row) in enumerate(missing, start=1):
            member, begun = Member(archs[row], replace(task, source=_Part(parts[part])), part), time.monotonic()
            (one,) = train_stack(space, [member], recipe)
            accuracy = None if one.error is not None else float(one.metrics[metric])
            training = Training(accuracy, len(parts[part].val), time.monotonic() - begun)
            kept.add(_name(row, part), training)
            if accuracy is None:
                _LOG.warning("accuracies are not calibrated: %s", one.error)
                return
            report(done, f"{metric} {accuracy:.3f}")
