"""Quantising with the images of a task: training images calibrate, validation images decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gennas.evaluators.train import TrainEvaluator
from gennas.export.quantisation import CALIBRATION_IMAGES, calibration_images, quantise_for
from gennas.spaces import Space, get_space
from gennas.tasks import Split, Task, get_task
from gennas.tasks.base import ImageSource, Splits
from gennas.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=128)


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("nasbench201", "channels=4,cells=1")


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("digits", image_size=8)


@dataclass(frozen=True)
class Watched(ImageSource):
    """Digits whose test images nobody may look at."""

    task: Task

    def read(self, seed: int) -> Splits:
        splits = self.task.splits()
        assert splits.test is not None
        return replace(splits, test=Forbidden(splits.test.images, splits.test.labels))


class Forbidden(Split):
    def __getattribute__(self, name: str) -> Any:
        if name in ("images", "labels"):
            raise AssertionError("test images are read")
        return super().__getattribute__(name)


def test_test_images_take_no_part(space: Space, task: Task, tmp_path: Path) -> None:
    arch = space.sample(np.random.default_rng(1))
    trainer = TrainEvaluator(space, RECIPE, tmp_path)
    accuracy = trainer.evaluate(arch, task=task)["accuracy@digits"]
    document = (trainer.network_folder(arch) / "network.onnx").read_bytes()
    watched = replace(task, source=Watched(task))
    found = quantise_for(watched, document)
    assert found.float_accuracy == pytest.approx(accuracy, abs=0.003)  # torch and onnxruntime may differ by an image
    assert found == quantise_for(task, document)
    # Where nothing may be lost, what was lost before is not lost any more.
    strict = quantise_for(task, document, max_drop=0)
    assert strict.accuracy >= strict.float_accuracy


def test_calibration_images_are_training_images(task: Task) -> None:
    train = task.splits().train
    images = calibration_images(task)
    assert images.shape == (CALIBRATION_IMAGES, *task.input_shape)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, calibration_images(task))
    mean, std = train.images.mean(axis=(0, 2, 3)) / 255, train.images.std(axis=(0, 2, 3)) / 255
    pixels = 255 * (images * std[:, None, None] + mean[:, None, None])
    known = {image.tobytes() for image in train.images}
    assert {image.tobytes() for image in np.rint(pixels).astype(np.uint8)} <= known
