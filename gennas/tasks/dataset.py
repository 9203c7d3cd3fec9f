"""Tasks of torch data sets: items are read once, into arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import numpy as np

from gennas.errors import InvalidInputError, short
from gennas.progress import progress, silent
from gennas.tasks.base import ImageSource, Split, Splits, Task, expect_images, shape_text
from gennas.tasks.splitting import NO_TEST, NO_VAL, splits_of
from gennas.tasks.targets import TargetKind, target_kind

#: From this many images on, reading takes long enough to be watched.
_MANY = 2_000
_WORDS = {"train": "training", "val": "validation", "test": "test"}
_HOW = (
    "expected a tensor or an array (channels, height, width), uint8 or float in [0, 1], or an image of Pillow; leave "
    "normalisation to gennas"
)


class DatasetImages(ImageSource):
    """The images of data sets.

    A copy in another process has the arrays and not the data sets, which need not be picklable.

    Args:
        datasets: split -> its data set.
        task: name, for messages.
        targets: their kind.
        names: of the outputs; may be empty.
        shape: ``(channels, height, width)`` of all images.

    Attributes:
        count: number of outputs; None until it is known.
    """

    def __init__(
        self,
        datasets: Mapping[str, Any],
        task: str,
        targets: TargetKind,
        names: Sequence[str],
        shape: tuple[int, ...],
        count: int | None,
    ) -> None:
        self.datasets, self.task, self.targets, self.names = dict(datasets), task, targets, tuple(names)
        self.shape, self.count = shape, count
        self._identity = uuid4().hex
        self._parts: dict[str, Split] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatasetImages) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "datasets": {}, "_parts": self.parts}

    @property
    def parts(self) -> dict[str, Split]:
        """The images of every data set, read once.

        Raises:
            InvalidInputError: an item cannot be used, or its image has another shape than the first.
        """
        if self._parts is None:
            raw = {split: self._read(split) for split in self.datasets}
            if self.count is None:
                # Only of classes, which are numbers.
                self.count = max(int(np.max(targets, initial=0)) + 1 for _, targets in raw.values())
            self._parts = {
                split: Split(images, self.targets.checked(targets, self.count, self._where(split)))
                for split, (images, targets) in raw.items()
            }
            self._expect_all_classes()
        return self._parts

    def read(self, seed: int) -> Splits:
        """All images; without a validation split, a fifth of the training images is held out by the seed.

        Raises:
            InvalidInputError: an item cannot be used, or there is nothing to learn.
        """
        return splits_of(self.parts, self.targets, seed, self.task)

    def _read(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images ``(n, c, h, w)`` uint8 and their targets, as they are."""
        dataset, where = self.datasets[split], self._where(split)
        count = len(dataset)
        if not count:
            raise InvalidInputError(f"{where} are none; expected at least one.")
        expect_images(count, max(self.shape[1:]))
        images, targets = np.empty((count, *self.shape), np.uint8), list[np.ndarray]()
        watched = progress("reading images", count) if count >= _MANY else nullcontext(silent)
        with watched as report:
            for row in range(count):
                pixels, target = item(dataset, row, where, self.targets, self.names)
                if pixels.shape != self.shape:
                    raise InvalidInputError(
                        f"{where}: image {row} is {shape_text(pixels.shape)}, but the first one is "
                        f"{shape_text(self.shape)}; make all of one size, e.g. with torchvision.transforms.Resize."
                    )
                if targets and target.shape != targets[0].shape:
                    raise InvalidInputError(
                        f"{where}: target {row} has shape {target.shape}, but the first one has {targets[0].shape}; "
                        "expected the same number of values for every image."
                    )
                images[row] = pixels
                targets.append(target)
                report(row + 1, "")
        return images, np.stack(targets)

    def _where(self, split: str) -> str:
        return f"the {_WORDS[split]} images of task {self.task!r}"

    def _expect_all_classes(self) -> None:
        """Raises InvalidInputError where some class has no training image."""
        train = (self._parts or {})["train"].labels
        if train.ndim == 1 and (missing := sorted(set(range(self.count or 0)) - set(train.tolist()))):
            named = [self.names[label] if self.names else str(label) for label in missing]
            self._parts = None
            raise InvalidInputError(
                f"{self._where('train')} show nothing of class {', '.join(named[:5])}; expected all {self.count}."
            )


def dataset_task(given: Mapping[str, Any], name: str, kind: TargetKind | str, class_names: Sequence[str] = ()) -> Task:
    """The task of some data sets; see :meth:`Task.from_dataset`.

    Args:
        given: split -> its data set; None for a split that there is not.
        name: of the task.
        kind: of the targets.
        class_names: of the outputs.

    Raises:
        InvalidInputError: as of :meth:`Task.from_dataset`.
        UnknownNameError: likewise.
    """
    if not name or re.search(r"[\s,<>@:]", name):
        raise InvalidInputError(
            f"is {name!r}; expected a word without white space, '@', ':', ',', '<' or '>'.", argument="name"
        )
    targets = target_kind(kind)
    datasets = {split: one for split, one in given.items() if one is not None}
    for split, one in datasets.items():
        if not (hasattr(one, "__getitem__") and hasattr(one, "__len__")):
            raise InvalidInputError(
                f"is a {type(one).__name__}, which has no length or no items at indices; expected a map-style "
                "data set.",
                argument=split,
            )
    if "train" not in datasets or not len(datasets["train"]):
        raise InvalidInputError("has no images; expected at least one.", argument="train")
    names = tuple(map(str, class_names or getattr(datasets["train"], "classes", ())))
    if len(set(names)) < len(names):
        raise InvalidInputError(f"has a name twice: {', '.join(names)}.", argument="class_names")
    pixels, target = item(datasets["train"], 0, f"the training images of task {name!r}", targets, names)
    values = target.size if target.ndim else 1
    count = len(names) or (None if targets.outputs == "classes" else values)
    source = DatasetImages(datasets, name, targets, names, pixels.shape, count)
    if count is None:
        # Nothing says how many classes there are but the targets.
        count = max(part.labels.max() for part in source.parts.values()) + 1
        if count < 2:
            raise InvalidInputError(f"the training images of task {name!r} are all of class 0; it takes two classes.")
    else:
        targets.checked(target[None], count, f"the training images of task {name!r}")
    notes = tuple(note for split, note in (("val", NO_VAL), ("test", NO_TEST)) if split not in datasets)
    return Task(name, tuple(pixels.shape), int(count), names, source, notes)


def item(
    dataset: Any, row: int, where: str, targets: TargetKind, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels ``(channels, height, width)`` uint8 and the target of an item.

    Args:
        dataset: has it.
        row: its index.
        where: the images, for messages.
        targets: their kind.
        names: of the outputs.

    Raises:
        InvalidInputError: it cannot be used.
    """
    found = dataset[row]
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise InvalidInputError(
            f"{where}: item {row} is {short(repr(found), 80)}; expected a pair of an image and a target."
        )
    try:
        return pixels_of(found[0]), targets.parsed(_array(found[1]), names)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: item {row}: {error}") from error


def pixels_of(image: Any) -> np.ndarray:
    """An image ``(channels, height, width)`` as uint8.

    Raises:
        InvalidInputError: it is no image, or its values are none of an image.
    """
    from PIL import Image

    if isinstance(image, Image.Image):
        array = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
    array = _array(image)
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
        shape = f" of shape {array.shape}" if isinstance(array, np.ndarray) else ""
        raise InvalidInputError(f"the image is a {type(image).__name__}{shape}; {_HOW}.")
    array = array[None] if array.ndim == 2 else array
    if array.shape[2] in (1, 3, 4) and array.shape[0] > 4:
        raise InvalidInputError(f"the image has shape {array.shape}, with its channels last; {_HOW}.")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * 255
    if array.dtype.kind != "f":
        raise InvalidInputError(f"the image has values of type {array.dtype}; {_HOW}.")
    # Resizing may overshoot by rounding.
    if not (np.isfinite(array).all() and array.min() >= -1e-3 and array.max() <= 1 + 1e-3):
        raise InvalidInputError(f"the image has values from {array.min():.3g} to {array.max():.3g}; {_HOW}.")
    return np.rint(array.clip(0, 1) * 255).astype(np.uint8)


def _array(value: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    detach = getattr(value, "detach", None)
    return value if detach is None else detach().cpu().numpy()
