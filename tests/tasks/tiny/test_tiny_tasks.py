"""The tiny tasks as a whole: every one loads, is the same each time, and keeps its splits apart."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.tasks import TASKS, Task, describe_task, get_task, known_by_name
from gennas.tasks.tiny import HELD_OUT_TASKS, TINY_TASKS, TRAINING_TASKS
from gennas.tasks.tiny.changes import Coarse, Faint, Grey, Inverted, Noise, Phaseless, Rolled, Shuffled
from gennas.tasks.tiny.photos import Handwriting, Objects
from gennas.tasks.tiny.source import TinyImages
from gennas.tasks.tiny.textures import Bands
from gennas.testing import check_task

IMAGES = np.random.default_rng(0).random((4, 3, 16, 16))


def test_kinds_are_learnt_from_or_held_out() -> None:
    assert len(TINY_TASKS) >= 50
    assert len(HELD_OUT_TASKS) >= 8
    assert not set(TRAINING_TASKS.values()) & set(HELD_OUT_TASKS.values())
    assert {name: task.kind for name, task in TINY_TASKS.items()} == {**TRAINING_TASKS, **HELD_OUT_TASKS}


@pytest.mark.parametrize("name", TINY_TASKS)
def test_every_task(name: str) -> None:
    task = get_task(name)
    if not task.has_images:
        pytest.skip("CIFAR-10 is not here")
    check_task(task)
    splits = task.splits()
    assert splits.test is not None
    parts = (splits.train, splits.val, splits.test)
    assert (task.name, task.input_shape) == (name, (3, 16, 16))
    assert 2 <= task.num_classes <= 20
    assert 100 <= len(splits.train) <= 600
    assert len(splits.val) == 250
    assert len(splits.test) == 1000 or (name.startswith("tiny-handwriting") and len(splits.test) > 300)
    images = [{image.tobytes() for image in part.images} for part in parts]
    assert not images[0] & images[1]
    assert not (images[0] | images[1]) & images[2]
    for part in parts[1:] if TINY_TASKS[name].wrong else parts:
        counts = np.bincount(part.labels, minlength=task.num_classes)
        assert np.ptp(counts) <= (1 if len(part) in (250, 1000) else 0.15 * len(part) / task.num_classes)


def test_images_depend_on_the_name_and_the_seed() -> None:
    def first(name: str, seed: int) -> np.ndarray:
        return TinyImages(name, Bands(1, 7), 50).read(seed).train.images

    assert np.array_equal(first("one", 0), first("one", 0))
    assert not np.array_equal(first("one", 0), first("one", 1))
    assert not np.array_equal(first("one", 0), first("other", 0))


def test_training_labels_alone_are_wrong() -> None:
    right, wrong = (TinyImages("bands", Bands(1, 7, classes=4), 600, (), share).read(0) for share in (0.0, 0.3))
    assert wrong.test is not None
    assert right.test is not None
    assert np.array_equal(right.train.images, wrong.train.images)
    assert abs((right.train.labels != wrong.train.labels).mean() - 0.3) < 0.06
    assert set(wrong.train.labels) == set(range(4))
    assert np.array_equal(right.val.labels, wrong.val.labels)
    assert np.array_equal(right.test.labels, wrong.test.labels)


def test_names_are_found_but_not_listed() -> None:
    name = next(iter(HELD_OUT_TASKS))
    assert name in TASKS
    assert not [listed for listed in TASKS if listed.startswith("tiny")]
    assert get_task(name.upper().replace("-", "_")).name == name
    assert "classes, 3x16x16" in describe_task(name)
    known_by_name([f"accuracy@{name}"], lambda: Task("other", (3, 32, 32), 5))
    assert get_task(name).has_images
    with pytest.raises(UnknownNameError, match=f"Did you mean '{name}'"):
        get_task(f"{name}s")
    with pytest.raises(InvalidInputError, match="comes with gennas"):
        TASKS.register(name, Task(name, (3, 8, 8), 2))
    with pytest.raises(InvalidInputError, match="has images of 16x16, not 32"):
        get_task(name, image_size=32)


def test_other_names_may_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))
    TASKS.register("tiny-imagenet", Task("tiny-imagenet", (3, 64, 64), 200))
    assert get_task("tiny-imagenet").num_classes == 200


def test_nothing_is_imported_before_a_name_is_asked_for() -> None:
    code = "import sys, gennas.tasks; 'cifar10' in gennas.tasks.TASKS; print('gennas.tasks.tiny' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_without_cifar10_the_error_says_where_it_is_read_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENNAS_DATA", raising=False)
    name = next(name for name in TINY_TASKS if name.startswith("tiny-objects"))
    task = get_task(name)
    assert not task.has_images
    check_task(task)
    with pytest.raises(DataMissingError, match=r"cifar10/\*\.npz in the folder GENNAS_DATA.*need no files"):
        task.splits()
    with pytest.raises(DataMissingError, match="CIFAR-10 are not on this machine"):
        Objects().take((10, 10, 10), np.random.default_rng(0))


def test_handwriting_is_split_once() -> None:
    sets = Handwriting(((0, 1), (7,))).take((100, 50, 1000), np.random.default_rng(0))
    assert [len(labels) for _, labels in sets[:2]] == [100, 50]
    assert all(np.bincount(labels).tolist() == [len(labels) // 2] * 2 for _, labels in sets[:2])
    # 178 zeros, 182 ones and 179 sevens are all there are.
    assert [np.bincount(labels).tolist() for _, labels in sets] == [[50, 50], [25, 25], [285, 104]]


def test_noise_is_as_strong_as_it_says() -> None:
    rng = np.random.default_rng(1)
    coloured, grey = (Noise(0.2, grey).apply(0 * np.repeat(IMAGES, 50, axis=0), rng) for grey in (False, True))
    assert coloured.std() == pytest.approx(0.2, rel=0.02)
    assert grey.std() == pytest.approx(0.2, rel=0.02)
    assert np.array_equal(grey[:, 0], grey[:, 2])
    assert abs(np.corrcoef(coloured[:, 0].ravel(), coloured[:, 1].ravel())[0, 1]) < 0.03


def test_changes_keep_what_they_should() -> None:
    rng = np.random.default_rng(2)
    shuffled = Shuffled().apply(IMAGES, rng)
    assert np.array_equal(shuffled, Shuffled().apply(IMAGES, rng))
    assert np.array_equal(np.sort(shuffled.reshape(4, 3, -1)), np.sort(IMAGES.reshape(4, 3, -1)))
    assert not np.array_equal(shuffled, IMAGES)
    coarse = Coarse(4).apply(IMAGES, rng)
    assert np.array_equal(coarse[:, :, ::4, ::4], coarse[:, :, 3::4, 1::4])
    assert coarse[0, 0, 0, 0] == pytest.approx(IMAGES[0, 0, :4, :4].mean())
    assert np.allclose(Grey().apply(IMAGES, rng), IMAGES.mean(1, keepdims=True))
    assert np.allclose(Faint(0.5).apply(IMAGES, rng), 0.25 + IMAGES / 2)
    inverted = Inverted().apply(np.repeat(IMAGES, 50, axis=0), rng)
    negative = np.isclose(inverted, 1 - np.repeat(IMAGES, 50, axis=0)).all((1, 2, 3))
    assert abs(negative.mean() - 0.5) < 0.15
    assert np.array_equal(inverted[~negative], np.repeat(IMAGES, 50, axis=0)[~negative])


def test_rolled_and_phaseless_images_have_the_frequencies_of_before() -> None:
    rng = np.random.default_rng(3)
    for change in (Rolled(), Phaseless()):
        changed = change.apply(IMAGES, rng)
        assert not np.allclose(changed, IMAGES)
        assert np.allclose(abs(np.fft.fft2(changed)), abs(np.fft.fft2(IMAGES)), atol=1e-9)
        # One change for all channels: they stay together.
        products = [np.fft.fft2(images[:, 0]) * np.fft.fft2(images[:, 1]).conj() for images in (changed, IMAGES)]
        assert np.allclose(products[0], products[1])
