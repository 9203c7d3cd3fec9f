"""Calibration on a task: what is trained, on which images, how often, and what the forecast makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from meta_world import NB201, SIZED, World, facts_of

from gennas.evaluators import task_calibration
from gennas.evaluators.task_calibration import calibrated, count_folds, folds, informative
from gennas.evaluators.timing import torch_threads
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
    splits = Splits(numbered(0, 100), numbered(100, 150), numbered(250, 5), is_drawn=True)
    (own,) = folds(splits)
    assert (own.train, own.val, own.test) == (splits.train, splits.val, None)


@pytest.mark.parametrize("val", [3, 147])
def test_validation_images_that_were_given_are_never_trained_on(val: int) -> None:
    """They may be of another camera, or another day: forecasts came out at 0.97 for what reached 0.33."""
    splits = Splits(numbered(0, 30), numbered(100, val), None)
    (own,) = folds(splits)
    assert count_folds(splits) == 1
    assert (own.train, own.val) == (splits.train, splits.val)


@pytest.mark.parametrize(("train", "val", "parts"), [(144, 36, 5), (40, 10, 5), (200, 100, 2), (30, 60, 2)])
def test_few_validation_images_that_were_drawn_are_held_out_in_turn(train: int, val: int, parts: int) -> None:
    splits = Splits(numbered(0, train), numbered(train, val), numbered(train + val, 50), is_drawn=True)
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


def test_classes_with_one_image_are_always_trained_on() -> None:
    """They made a part of their own, whose answers were wrong, as nothing had shown these classes to the network."""
    images, labels = numbered(0, 40).images, np.array([0] * 10 + [1] * 10 + list(range(2, 22)))
    rows = np.array([0, 1, 10, 11])
    rest = np.setdiff1d(np.arange(40), rows)
    splits = Splits(Split(images[rest], labels[rest]), Split(images[rows], labels[rows]), None, is_drawn=True)
    found = folds(splits)
    assert len(found) == count_folds(splits) == 10
    for part in found:
        assert set(part.train.labels.tolist()) == set(range(22))
        assert set(part.val.labels.tolist()) <= {0, 1}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[AccuracyForecast, Task, list[Any]]:
    """A forecast, a task of two classes that any network tells apart, and a list of the trainings that were done."""
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    monkeypatch.setattr(task_calibration, "COUNT", 2)
    monkeypatch.setattr(task_calibration, "TESTED", 16)
    done: list[Any] = []

    def counted(*words: Any) -> Any:
        assert torch.get_num_threads() == 1
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
    assert later.note.startswith("Forecast. 2 networks were trained on its images to calibrate it, in ")
    archs = informative(found.forecast, NB201, 20)
    (before, after) = (one.forecast.interval(archs) for one in (found, later))
    assert np.ptp(after[:, 1:], axis=1).mean() < np.ptp(before[:, 1:], axis=1).mean()
    (file,) = (tmp_path / "cache" / "trained").iterdir()
    kept = json.loads(file.read_text())
    assert {one["images"] for one in kept.values()} == {8}
    accuracy = np.array([[kept[f"arch {row}, part {part}"]["accuracy"] for part in (0, 1)] for row in (0, 1)]).mean(1)
    expected = found.forecast.updated(informative(found.forecast, NB201, 2), accuracy, 16)
    np.testing.assert_array_equal(later.forecast.mean, expected.mean)
    again = calibrated(found, NB201, task, "once")
    np.testing.assert_array_equal(again.forecast.mean, later.forecast.mean)
    assert again.note == later.note
    assert len(done) == 4
    np.testing.assert_array_equal(calibrated(found, NB201, task, "never").forecast.mean, later.forecast.mean)
    assert len(done) == 4
    np.testing.assert_array_equal(calibrated(found, NB201, task, "again").forecast.mean, later.forecast.mean)
    assert len(done) == 8


def test_never_trains_nothing(known: Any, tmp_path: Path) -> None:
    found, task, done = known
    assert calibrated(found, NB201, task, "never") is found
    assert not done
    assert not (tmp_path / "cache").exists()


def test_whatever_the_threads_the_trainings_are_the_same(known: Any) -> None:
    found, task, _ = known
    means = []
    for threads in (1, 2):
        with torch_threads(threads):
            means.append(calibrated(found, NB201, task, "again").forecast.mean)
            assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(*means)


def test_an_interruption_loses_no_training(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, task, done = known
    whole = calibrated(found, NB201, task, "once").forecast.mean
    done.clear()
    train = task_calibration.train_stack

    def interrupted(*words: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        return train(*words)

    with monkeypatch.context() as patch:
        patch.setattr(task_calibration, "train_stack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            calibrated(found, NB201, task, "again")
    assert calibrated(found, NB201, task, "never") is found
    np.testing.assert_array_equal(calibrated(found, NB201, task, "once").forecast.mean, whole)
    assert len(done) == 4


def test_what_diverges_is_not_trained_again(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, task, done = known
    train = task_calibration.train_stack
    monkeypatch.setattr(
        task_calibration, "train_stack", lambda *words: [replace(train(*words)[0], error="the loss is nan")]
    )
    for _ in range(2):
        assert calibrated(found, NB201, task, "once") is found
    assert len(done) == 1


def test_images_for_testing_make_no_difference(known: Any) -> None:
    found, task, done = known
    splits = task.splits()
    for test in (None, splits.val):
        of_test = replace(task, source=task_calibration._Part(replace(splits, test=test)))
        calibrated(found, NB201, of_test, "once")
    assert len(done) == 4


def test_what_cannot_be_kept_is_said_once(known: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found, task, done = known
    (tmp_path / "cache").write_text("")
    assert calibrated(found, NB201, task, "once") is not found
    assert len(done) == 4
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("the trainings on this task are not kept: ")


def test_the_tasks_own_images_stay_the_ones_that_are_remembered(known: Any) -> None:
    """The process remembers the images of four tasks, and parts of one would take their places."""
    found, task, _ = known
    before = task.splits()
    calibrated(found, NB201, task, "once")
    assert task.splits() is before


def test_what_was_kept_is_of_these_images_and_archs(known: Any, tmp_path: Path) -> None:
    found, task, done = known
    calibrated(found, NB201, task, "once")
    (file,) = (tmp_path / "cache" / "trained").iterdir()
    kept = file.read_text()
    for damaged in ("", "[]", kept.replace('"accuracy": ', '"accuracy": 1'), kept.replace('"images": ', '"images": -')):
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


def test_by_an_unknown_recipe_nothing_is_trained(known: Any) -> None:
    found, task, done = known
    own = replace(found, recipe="")
    assert calibrated(own, NB201, task, "once") is own
    # A name in a file is looked up, and read from no other file.
    strange = replace(found, recipe="somewhere/else.yaml")
    assert calibrated(strange, NB201, task, "once") is strange
    nothing = AccuracyForecast()
    assert calibrated(nothing, NB201, task, "once") is nothing
    assert not done
