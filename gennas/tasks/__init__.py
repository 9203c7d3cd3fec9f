"""Tasks: what a network is for. A named benchmark, scikit-learn's digits, or a folder of images."""

import os
from pathlib import Path

from gennas.errors import DataMissingError, InvalidInputError, unknown
from gennas.tasks.base import ImageSource, Split, Splits, Task
from gennas.tasks.cifar10 import CLASSES, Cifar10
from gennas.tasks.digits import Digits
from gennas.tasks.folder import ImageFolder

_BENCHMARKS: dict[str, tuple[tuple[int, ...], int]] = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "imagenet16-120": ((3, 16, 16), 120),
    # The data sets of NAS-Bench-Graph, every node of whose graph is classified.
    "cora": ((1433,), 7),
    "citeseer": ((3703,), 6),
    "pubmed": ((500,), 3),
    "cs": ((6805,), 15),
    "physics": ((8415,), 5),
    "photo": ((745,), 8),
    "computers": ((767,), 10),
    "arxiv": ((128,), 40),
    # 112 labels that are each there or not; their "accuracy" is the area under the ROC curve.
    "proteins": ((8,), 112),
}


def _described(shape: tuple[int, ...], classes: int) -> str:
    if len(shape) == 1:
        return (
            f"benchmark: {classes} classes of the nodes of a graph, {shape[0]:,} features each; known to tables, "
            "brings no graph"
        )
    size = "x".join(map(str, shape))
    return f"benchmark: {classes} classes, {size}; known to predictors and tables, brings no images"


#: Name -> one line for ``gennas list tasks``.
TASKS = {
    **{name: _described(*benchmark) for name, benchmark in _BENCHMARKS.items()},
    "cifar10": "benchmark: 10 classes, 3x32x32; brings its images where the folder GENNAS_DATA has cifar10/*.npz",
    "digits": "scikit-learn's 1,797 real handwritten digits: 10 classes, 8x8 grey upscaled to 3x32x32",
}
_DEFAULT_SIZE, _SMALLEST_SIZE = 32, 8
_HINT = "Your own images: the path of a folder with train/<class>/*.png (or jpg)."


def get_task(name: str, *, image_size: int | None = None) -> Task:
    """The task of that name, or the one made of a folder of images.

    A folder is only listed here; its images are read by :meth:`Task.splits`. Its class names come from
    ``train/<class>/``, its task name is the folder's own.

    Args:
        name: a name in ``TASKS``, or the path of a folder with ``train/<class>/*`` and optionally ``val/``
            and ``test/`` of the same form.
        image_size: side in pixels to which images are resized, at least 8; 32 where it is not given. Only for
            ``digits`` and folders.

    Raises:
        UnknownNameError: neither a known name nor a folder; the nearest name is suggested.
        DataMissingError: a path (with a separator) at which nothing is.
        InvalidInputError: a folder of another form, or an image size that cannot be used.
    """
    if image_size is not None and image_size < _SMALLEST_SIZE:
        raise InvalidInputError(f"image size {image_size}; expected at least {_SMALLEST_SIZE} pixels, e.g. 32.")
    if name in _BENCHMARKS:
        shape, classes = _BENCHMARKS[name]
        if len(shape) == 1 and image_size is not None:
            raise InvalidInputError(
                f"task {name!r} has a graph, no images; leave the image size out (it is for digits and image folders)."
            )
        if len(shape) == 3 and image_size not in (None, shape[1]):
            raise InvalidInputError(
                f"task {name!r} has images of {shape[1]}x{shape[2]}, not {image_size}; leave the image "
                "size out (it is for digits and image folders)."
            )
        if name == "cifar10" and (images := Cifar10.found()):
            return Task(name, shape, classes, CLASSES, images)
        hint = "Its images are read from cifar10/*.npz of the folder GENNAS_DATA." if name == "cifar10" else ""
        return Task(name, shape, classes, hint=hint)
    if name == "digits":
        return Digits(image_size or _DEFAULT_SIZE).task()
    path = Path(os.path.expanduser(name))
    if name and path.exists():
        return ImageFolder.open(path, image_size or _DEFAULT_SIZE).task(reserved=TASKS)
    if path.name != name:
        raise DataMissingError(f"no folder of images at {path}; expected one with train/<class>/*.png (or jpg).")
    raise unknown("task", name, TASKS, _HINT)


__all__ = ["TASKS", "ImageSource", "Split", "Splits", "Task", "get_task"]
