"""Calibration on a task: what is trained, on which images, how often, and what the forecast makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from meta_world import NB201, SIZED, World, facts_of

from gennas.evaluators import task_calibration
from gennas.evaluators.task_calibration import calibrated, count_folds, folds, informative
from gennas.predictors.meta.applied import AccuracyForecast
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.predictor import MetaPredictor
from gennas.tasks import Split, Splits, Task
from gennas.training.stacked.fitting import train_stack


def numbered(first: int, count: int, classes: int = 3) -> Split:
    """Images with their own numbers in the first two pixels."""
    numbers, images = np.arange(first, first + count), np.zeros((count, 1, 8, 8), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = numbers % 256, numbers // 256
    return Split(images, numbers % classes)


def numbers_of(split: Split) -> set[int]:
    return {int(image[0, 0, 0]) + 256 * int(image[0, 0, 1]) for image in split.images}


def test_validation_images_are_the_tasks_own_where_they_are_enough() -> None:
    splits = Splits(numbered(0, 100), numbered(100, 150), numbered(250, 5))
    (own,) = folds(splits)
    assert (own.train, own.val, own.test) == (splits.train, splits.val, None)


@pytest.mark.parametrize(("train", "val", "parts"), [(144, 36, 5), (40, 10, 5), (200, 100, 2), (30, 60, 2)])
def test_few_validation_images_are_held_out_in_turn(train: int, val: int, parts: int) -> None:
    splits = Splits(numbered(0, train), numbered(train, val), numbered(train + val, 50))
    found, every = folds(splits), set(range(train + val))
    assert len(found) == count_folds(splits) == parts
    held_out: list[int] = []
    for part in found:
        inside, outside = numbers_of(part.train), numbers_of(part.val)
        assert not inside & outside
        assert inside | outside == every
        assert part.test is None
        assert set(part.val.labels.tolist()) == {0, 1, 2}
        held_out += sorted(outside)
    assert len(held_out) == len(set(held_out))
    assert len(held_out) >= min(150, train + val) * 0.9


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[AccuracyForecast, Task, list[Any]]:
    """A forecast, a task of two classes that any network tells apart, and a list of the trainings that were done."""
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    monkeypatch.setattr(task_calibration, "COUNT", 2)
    monkeypatch.setattr(task_calibration, "TESTED", 16)
    done: list[Any] = []

    def counted(*words: Any) -> Any:
        done.append(words[1])
        return train_stack(*words)

    monkeypatch.setattr(task_calibration, "train_stack", counted)
    world = World(ArchBasis.of_space(NB201, SIZED, width=4))
    tasks = world.tasks(6, 20)
    forecast = MetaPredictor.fit(world.basis, ("one", "two", "three"), tasks).forecast(facts_of(tasks[0]))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (40, 3, 16, 16)).astype(np.uint8)
    images[::2, :, :8] += 150
    data = [(image, int(row % 2)) for row, image in enumerate(images)]
    task = Task.from_dataset(data, name="halves", class_names=("top", "none"))
    return AccuracyForecast(forecast, "Forecast.", "tiny"), task, done


def test_networks_are_trained_once_and_narrow_the_forecast(known: Any, tmp_path: Path) -> None:
    found, task, done = known
    later = calibrated(found, NB201, task, "once")
    assert len(done) == 2 * 2  # archs times parts
    assert later.note.startswith("Forecast. 2 networks were trained on its images to calibrate it, once, in ")
    archs = informative(found.forecast, NB201, 20)
    (before, after) = (one.forecast.interval(archs) for one in (found, later))
    assert np.ptp(after[:, 1:], axis=1).mean() < np.ptp(before[:, 1:], axis=1).mean()
    (file,) = (tmp_path / "cache" / "trained").iterdir()
    kept = json.loads(file.read_text())
    assert kept["images"] == 16
    expected = found.forecast.updated(informative(found.forecast, NB201, 2), np.array(kept["accuracy"]), 16)
    np.testing.assert_array_equal(later.forecast.mean, expected.mean)
    again = calibrated(found, NB201, task, "once")
    np.testing.assert_array_equal(again.forecast.mean, later.forecast.mean)
    assert again.note == later.note
    assert len(done) == 4
    assert calibrated(found, NB201, task, "never") is found
    np.testing.assert_allclose(calibrated(found, NB201, task, "again").forecast.mean, later.forecast.mean)
    assert len(done) == 8


def test_what_was_kept_is_of_these_images_and_archs(known: Any, tmp_path: Path) -> None:
    found, task, done = known
    calibrated(found, NB201, task, "once")
    (file,) = (tmp_path / "cache" / "trained").iterdir()
    kept = file.read_text()
    for damaged in ("", "[]", '{"accuracy": [2, 0.5], "images": 16, "seconds": 1}', kept.replace("[", "[0.5, ")):
        file.write_text(damaged)
        done.clear()
        calibrated(found, NB201, task, "once")
        assert len(done) == 4
        assert file.read_text() != damaged


def test_nobody_waits_for_long(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, task, done = known
    passes = 20 * 32 * 2  # epochs, images, parts
    monkeypatch.setattr(task_calibration, "MOST_PASSES", passes)
    calibrated(found, NB201, task, "once")
    assert len(done) == 2
    monkeypatch.setattr(task_calibration, "MOST_PASSES", passes - 1)
    # Nor are images copied for it.
    monkeypatch.setattr(task_calibration, "folds", None)
    assert calibrated(found, NB201, task, "once") is found
    assert len(done) == 2


def test_where_the_user_has_evaluated_archs_nothing_is_trained(known: Any) -> None:
    found, task, done = known
    own = replace(found, recipe="")
    assert calibrated(own, NB201, task, "once") is own
    # A name in a file is looked up, and read from no other file.
    strange = replace(found, recipe="somewhere/else.yaml")
    assert calibrated(strange, NB201, task, "once") is strange
    nothing = AccuracyForecast()
    assert calibrated(nothing, NB201, task, "once") is nothing
    assert not done
