"""Tasks: what a network is for. A named benchmark, scikit-learn's digits, or a folder of images."""

import os
from pathlib import Path

from gennas.errors import DataMissingError, InvalidInputError, unknown
from gennas.tasks.base import ImageSource, Split, Splits, Task
from gennas.tasks.digits import Digits
from gennas.tasks.folder import ImageFolder

#: Name -> one line for ``gennas list tasks``.
TASKS = {
    "cifar10": "benchmark: 10 classes, 3x32x32; known to predictors and tables, brings no images",
    "cifar100": "benchmark: 100 classes, 3x32x32; known to predictors and tables, brings no images",
    "imagenet16-120": "benchmark: 120 classes, 3x16x16; known to predictors and tables, brings no images",
    "digits": "scikit-learn's 1,797 real handwritten digits: 10 classes, 8x8 grey upscaled to 3x32x32",
}
_BENCHMARKS = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "imagenet16-120": ((3, 16, 16), 120),
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
        if image_size not in (None, shape[1]):
            raise InvalidInputError(
                f"task {name!r} has images of {shape[1]}x{shape[2]}, not {image_size}; leave the image "
                "size out (it is for digits and image folders)."
            )
        return Task(name, shape, classes)
    if name == "digits":
        return Digits(image_size or _DEFAULT_SIZE).task()
    path = Path(os.path.expanduser(name))
    if name and path.exists():
        return ImageFolder.open(path, image_size or _DEFAULT_SIZE).task(reserved=TASKS)
    if path.name != name:
        raise DataMissingError(f"no folder of images at {path}; expected one with train/<class>/*.png (or jpg).")
    raise unknown("task", name, TASKS, _HINT)


__all__ = ["TASKS", "ImageSource", "Split", "Splits", "Task", "get_task"]
