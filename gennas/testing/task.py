"""The contract of tasks."""

from __future__ import annotations

import pickle

import numpy as np

from gennas.errors import DataMissingError
from gennas.tasks import CLASSIFICATION, Split, Task
from gennas.testing.contract import check


def check_task(task: Task, seed: int = 0) -> None:
    """Tests that networks can be sized for a task and, where it has images, trained on it.

    Args:
        task: the task; its images are read, if it has any.
        seed: of the splits.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    word = bool(task.name) and not set("@: \t\n") & set(task.name)
    check(word, "name: has neither white space nor '@' nor ':', as it stands behind '@'", task.name)
    shape = task.input_shape
    sides = len(shape) in (1, 3) and all(isinstance(side, int) and side > 0 for side in shape)
    check(sides, "input_shape: is (channels, height, width), or (features,) of a graph's nodes", shape)
    least = 2 if task.targets == CLASSIFICATION else 1
    check(task.num_classes >= least, f"num_classes: is at least {least}", task.num_classes)
    names = task.class_names
    named = not names or (len(names) == task.num_classes and len(set(names)) == len(names))
    check(named, "class_names: are empty, or one distinct name per class", names)
    copied = pickle.loads(pickle.dumps(task))
    check(copied == task, "a pickled copy, as a worker gets it, is equal", copied)
    if task.has_images:
        _check_images(task, seed)
        return
    try:
        task.splits(seed)
    except DataMissingError:
        return
    raise AssertionError("splits(): raises DataMissingError for a task without images; found images")


def _check_images(task: Task, seed: int) -> None:
    splits = task.splits(seed)
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    for name, split in parts.items():
        if split is not None:
            _check_split(task, split, name)
    if task.targets == CLASSIFICATION:
        classes = len(np.unique(splits.train.labels))
        check(classes == task.num_classes, f"splits(): train has images of all {task.num_classes} classes", classes)
    assert task.source is not None
    again = task.source.read(seed)
    check(again.fingerprint == splits.fingerprint, "splits(): are the same for the same seed", again.fingerprint)
    count = min(len(splits.train), 2 * task.num_classes)
    sample = task.sample(count, seed)
    _check_split(task, sample, "sample()")
    check(len(sample) == count, f"sample(): has as many images as are asked for, {count}", len(sample))
    same = np.array_equal(sample.images, task.sample(count, seed).images)
    check(same, "sample(): is the same for the same seed", "other images")


def _check_split(task: Task, split: Split, name: str) -> None:
    images, labels = split.images, split.labels
    check(len(images) > 0, f"{name}: has an image", 0)
    check(images.dtype == np.uint8, f"{name}: images are uint8", images.dtype)
    check(images.shape[1:] == task.input_shape, f"{name}: images have shape {task.input_shape}", images.shape[1:])
    if task.targets != CLASSIFICATION:
        check(len(labels) == len(images), f"{name}: every image has a target", labels.shape)
        same = task.targets.checked(labels, task.num_classes, name)
        told = f"{name}: targets are as those of a {task.targets.name}: {same.dtype} of shape {same.shape}"
        check(same.dtype == labels.dtype and same.shape == labels.shape, told, (labels.dtype, labels.shape))
        return
    check(labels.dtype == np.int64, f"{name}: labels are int64", labels.dtype)
    check(labels.shape == (len(images),), f"{name}: every image has a label", labels.shape)
    least, greatest = int(labels.min()), int(labels.max())
    within = least >= 0 and greatest < task.num_classes
    check(within, f"{name}: labels count the classes from 0 to {task.num_classes - 1}", (least, greatest))
