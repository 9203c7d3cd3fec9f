"""Tasks of torch data sets: items of every form, splits, copies in other processes, and what cannot be used."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from gennas.errors import InvalidInputError, UnknownNameError
from gennas.tasks import Task
from gennas.testing import check_task

RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8))
VALUES = torch.linspace(10, 50, 40)
CLASSES = torch.arange(40) % 4


class Items(Dataset[Any]):
    """A list as a data set that counts how often it is read; it cannot be pickled."""

    def __init__(self, items: list[Any]) -> None:
        self.items, self.reads, self.lock = items, 0, lambda: None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        self.reads += 1
        return self.items[row]


def test_images_of_every_form_are_the_same_pixels() -> None:
    pixels = IMAGES[0].numpy()
    forms = [
        IMAGES[0],
        pixels,
        IMAGES[0].float() / 255,
        (pixels / 255).astype(np.float64),
        Image.fromarray(pixels.transpose(1, 2, 0)),
    ]
    data = Items([(form, float(number)) for number, form in enumerate(forms * 4)])
    splits = Task.from_dataset(data, name="same", targets="regression").splits()
    both = np.concatenate([splits.train.images, splits.val.images])
    assert both.dtype == np.uint8
    assert (both == pixels).all()
    grey = Items([(Image.new("L", (8, 8), number), number % 2) for number in range(8)])
    assert Task.from_dataset(grey, name="grey").input_shape == (1, 8, 8)


def test_items_are_read_once_and_not_before_they_are_needed() -> None:
    data = Items(list(zip(IMAGES, VALUES.tolist(), strict=True)))
    task = Task.from_dataset(data, name="ages", targets="regression")
    assert data.reads == 1
    task.splits()
    task.splits(1)
    task.sample(5)
    assert data.reads == 41


@pytest.mark.parametrize(
    ("targets", "values", "count", "names"),
    [
        ("classification", CLASSES, 4, ("0", "1", "2", "3")),
        ("regression", VALUES, 1, ("value",)),
        ("regression", torch.stack([VALUES, -VALUES], 1), 2, ("value_0", "value_1")),
        ("multilabel", torch.stack([CLASSES > 1, CLASSES == 0], 1).long(), 2, ("label_0", "label_1")),
    ],
)
def test_a_task_of_each_kind_keeps_the_contract(
    targets: str, values: torch.Tensor, count: int, names: tuple[str, ...]
) -> None:
    task = Task.from_dataset(TensorDataset(IMAGES, values), name="mine", targets=targets)
    check_task(task)
    assert (task.num_classes, task.output_names, task.targets.name) == (count, names, targets)
    splits = task.splits()
    assert (len(splits.train), len(splits.val), splits.test) == (32, 8, None)
    assert "no validation split" in task.notes[0]
    assert np.array_equal(task.resized(4).splits().val.labels, splits.val.labels)
    assert task.resized(4).targets == task.targets


def test_given_splits_are_kept() -> None:
    parts = [TensorDataset(IMAGES[rows], VALUES[rows]) for rows in (slice(20), slice(20, 30), slice(30, 40))]
    splits = Task.from_dataset(*parts, name="ages", targets="regression").splits(3)
    assert splits.test is not None
    found = [part.labels[:, 0].tolist() for part in (splits.train, splits.val, splits.test)]
    assert found == [VALUES[:20].tolist(), VALUES[20:30].tolist(), VALUES[30:].tolist()]


def test_a_copy_has_the_images_although_the_data_set_cannot_be_copied() -> None:
    data = Items(list(zip(IMAGES, VALUES.tolist(), strict=True)))
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(data)
    task = Task.from_dataset(data, name="ages", targets="regression")
    copy = pickle.loads(pickle.dumps(task))
    assert copy == task
    assert hash(copy) == hash(task)
    assert copy.source.datasets == {}
    assert copy.splits().fingerprint == task.splits().fingerprint


def test_classes_may_have_names() -> None:
    data = Items([(image, "cat" if row % 2 else "dog") for row, image in enumerate(IMAGES)])
    data.classes = ["dog", "cat"]  # type: ignore[attr-defined]
    task = Task.from_dataset(data, name="pets")
    assert task.class_names == ("dog", "cat")
    assert np.bincount(task.splits().train.labels).tolist() == [16, 16]


def test_names_of_classes_have_to_be_listed() -> None:
    items = Items([(image, "ab"[row % 2]) for row, image in enumerate(IMAGES)])
    with pytest.raises(
        InvalidInputError, match="'a' is not the name of a class; expected numbers, or names that `class_n"
    ):
        Task.from_dataset(items, name="pets")
    task = Task.from_dataset(items, name="pets", class_names=("a", "b"))
    assert np.bincount(task.splits().train.labels).tolist() == [16, 16]


def test_one_class_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="all of class 0; it takes two classes"):
        Task.from_dataset(Items([(image, 0) for image in IMAGES]), name="pets")


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield IMAGES[0], 1


PAIR = (IMAGES[0], 1.0)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([IMAGES[0]], "item 0 is tensor.*expected a pair of an image and a target"),
        ([PAIR, (IMAGES[0, :, :4], 2.0)], "image 1 is 3x4x8, but the first one is 3x8x8; make all of one size"),
        ([PAIR, (IMAGES[0], [1.0, 2.0])], r"target 1 has shape \(2,\), but the first one has \(\)"),
        ([(IMAGES[0].float() / 50, 1.0)], "item 0: the image has values from 0 to 4.98.*float in .0, 1.*normalisation"),
        ([(IMAGES[0].int(), 1.0)], "values of type int32"),
        ([(IMAGES[0].permute(1, 2, 0), 1.0)], r"shape \(8, 8, 3\), with its channels last"),
        ([("photo.png", 1.0)], "the image is a str; expected a tensor"),
        ([PAIR, (IMAGES[1], float("nan"))], "value 0 of image 1 is nan"),
        ([PAIR] * 8, "is 1 for all training images; there is nothing to learn"),
        ([PAIR], r"has too few images to hold some out for validation \(1\)"),
        ([], "train has no images"),
    ],
)
def test_what_cannot_be_used_is_named(items: list[Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Task.from_dataset(Items(items), name="bad", targets="regression").splits()


def test_other_arguments_are_checked() -> None:
    data = TensorDataset(IMAGES, VALUES)
    with pytest.raises(InvalidInputError, match="train is a Endless, which has no length"):
        Task.from_dataset(Endless(), name="bad")
    with pytest.raises(InvalidInputError, match="name is 'a b'; expected a word"):
        Task.from_dataset(data, name="a b")
    with pytest.raises(UnknownNameError, match=r"unknown kind of targets 'regresion'\. Did you mean 'regression'"):
        Task.from_dataset(data, name="bad", targets="regresion")
    with pytest.raises(InvalidInputError, match="1 values each; expected 2"):
        Task.from_dataset(data, name="bad", targets="regression", class_names=["a", "b"])
    with pytest.raises(InvalidInputError, match=r"type float32; expected the number of a class.*targets='regression'"):
        Task.from_dataset(data, name="bad", class_names=["a", "b"])
    with pytest.raises(InvalidInputError, match="show nothing of class 2; expected all 4"):
        Task.from_dataset(TensorDataset(IMAGES, torch.where(CLASSES == 2, 3, CLASSES)), name="bad")
