"""Tasks: what a network is for. A named benchmark, scikit-learn's digits, a folder of images, or one of your own."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from gennas.errors import DataMissingError, GennasError, InvalidInputError, unknown
from gennas.metrics import Metric
from gennas.paths import readable
from gennas.registry import Registry
from gennas.tasks.base import ImageSource, Split, Splits, Task, shape_text
from gennas.tasks.benchmarks import BENCHMARKS, CIFAR10
from gennas.tasks.digits import Digits
from gennas.tasks.folder import ImageFolder
from gennas.tasks.listing import EXPECTED
from gennas.tasks.target_file import TargetFile
from gennas.tasks.targets import CLASSIFICATION, TARGET_KINDS, TargetKind, target_kind

_DEFAULT_SIZE, _SMALLEST_SIZE = 32, 8
_HINT = "Your own images: the path of a folder with a folder per class. Your own task: path/to/file.py:my_task."


def _digits(image_size: int) -> Task:
    """scikit-learn's 1,797 real handwritten digits: 10 classes, 8x8 grey upscaled to 3x32x32"""
    return Digits(image_size).task()


#: A task, or a function that makes it: without arguments, or with ``image_size``, where its images have any size.
TaskEntry: TypeAlias = Task | Callable[..., Task]
TASKS: Registry[TaskEntry] = Registry(
    "task",
    {**{benchmark.name: benchmark for benchmark in (CIFAR10, *BENCHMARKS)}, "digits": _digits},
    group="gennas.tasks",
    expected="a gennas.Task, or a function that makes one",
    accepts=lambda entry: isinstance(entry, Task) or (callable(entry) and not isinstance(entry, type)),
    how="`task` path/to/file.py:my_task (in Python: TASKS.register)",
    families={"tiny-": "gennas.tasks.tiny:TINY_TASKS"},
)


def sizing_task(metrics: Iterable[str], input_shape: tuple[int, ...] = ()) -> Task:
    """The task whose input sizes networks where none is named: the first of metrics' tasks, or a benchmark with images
    of the shape that latencies were measured with, or cifar10.

    Args:
        metrics: names with their targets.
        input_shape: ``(channels, height, width)``; empty where it is not known.
    """
    named = [target for kind, _, target in (metric.partition("@") for metric in metrics) if kind == "accuracy"]
    alike = [one.name for one in (CIFAR10, *BENCHMARKS) if one.input_shape == input_shape]
    return get_task(next((task for task in named if task in TASKS), next(iter(alike), "cifar10")))


def describe_task(name: str) -> str:
    """One line on a registered task, for ``gennas list tasks``: its ``description``, or its documentation's first."""
    entry = TASKS.get(name)
    if isinstance(entry, Task):
        return f"{entry.targets.amount(entry.num_classes)}, {shape_text(entry.input_shape)}"
    described = getattr(entry, "description", None) or (inspect.getdoc(entry) or "").partition("\n")[0]
    return str(described)


def get_task(
    name: str,
    *,
    image_size: int | None = None,
    nested: bool = False,
    targets: TargetKind | str = CLASSIFICATION,
) -> Task:
    """The task of that name, the one made of a folder of images, or one of the user's own.

    A folder is only listed here; its images are read by :meth:`Task.splits`. Its task name is the folder's own.

    Args:
        name: a name in ``TASKS``; the path of a folder of images, with a folder per class, or of a label file (see
            :func:`gennas.tasks.layout.list_images`); or ``"path/to/file.py:task"`` or ``"package.module:task"``, a
            :class:`Task` or a function that makes one.
        image_size: side in pixels to which images are resized, at least 8; 32 where it is not given. Only for
            ``digits``, folders and functions that take it.
        nested: whether images in subfolders of the class folders are read, too.
        targets: what a label file holds: ``classification``, a class per image; ``regression``, numbers in one column
            or several; ``multilabel``, lists as ``red;round`` or a column of 0 and 1 per label; or a kind of your own.

    Raises:
        UnknownNameError: neither a known name nor a folder, or an unknown kind of targets; the nearest is suggested.
        DataMissingError: a path (with a separator) at which nothing is.
        InvalidInputError: a folder of another form, or an image size that cannot be used.
    """
    if image_size is not None and image_size < _SMALLEST_SIZE:
        raise InvalidInputError(f"image size {image_size}; expected at least {_SMALLEST_SIZE} pixels, e.g. 32.")
    # A folder may be called as a task, but for its case: it is what was meant, if it is there.
    names, path = list(TASKS), Path(os.path.expanduser(name))
    if name not in names and name and (path.is_dir() or (path.exists() and path.suffix != ".py")):
        size, kind = image_size or _DEFAULT_SIZE, target_kind(targets)
        if kind == CLASSIFICATION:
            return ImageFolder.open(path, size, nested=nested).task(reserved=names)
        return TargetFile.read_as(path, size, kind).task(reserved=names)
    if nested:
        raise InvalidInputError(f"is given, but task {name!r} is no folder of images.", argument="nested")
    if name in TASKS or ":" in name or path.suffix == ".py":
        made = _made(name, TASKS.get(name), image_size)
        if (kind := target_kind(targets)) not in (CLASSIFICATION, made.targets):
            raise InvalidInputError(
                f"is {kind.name!r}, but task {name!r} is a {made.targets.name}; leave it out.", argument="targets"
            )
        return made
    if path.name != name:
        raise DataMissingError(f"no folder of images at {readable(path)}; {EXPECTED}.")
    raise unknown("task", name, [*names, *TASKS.family(name)], f"{_no_folder(name)} {_HINT}")


def _no_folder(name: str) -> str:
    """That no folder has a name either, and which is near."""
    folders = [entry.name for entry in os.scandir() if entry.is_dir() and not entry.name.startswith(".")]
    near = get_close_matches(name, folders, n=1)
    meant = f"; did you mean {readable(near[0])!r}?" if near else "."
    return f"No folder here is called {name!r} either{meant}"


def known_by_name(metrics: Iterable[str], like: Callable[[], Task]) -> None:
    """Makes the tasks known that metrics name and of which nothing else is known: a table or a predictor has values of
    them, and that is enough for searching and generating.

    Args:
        metrics: names with their targets; those whose kind is not registered are left out.
        like: gives the task that sizes their networks, as nobody has said how large their inputs are.

    Raises:
        InvalidInputError: a name that no task can have, or under which values of networks for other inputs are known.
    """
    sizing: Task | None = None
    for name in metrics:
        try:
            metric = Metric.parse(name.removeprefix("test_"))
        except GennasError:
            continue
        if metric.kind.scope != "task" or (target := metric.target) is None:
            continue
        known = TASKS.get(target) if target in TASKS else None
        # What says more of itself than this module would is somebody's own, and is theirs to size.
        if known is not None and (not isinstance(known, Task) or known != _sized(target, known)):
            continue
        sizing = sizing or like()
        if known is None:
            TASKS.register(target, _sized(target, sizing))
        elif known != _sized(target, sizing):
            raise InvalidInputError(
                f"{name}: task {target!r} is already known by values of networks for {shape_text(known.input_shape)} "
                f"inputs; these are for {shape_text(sizing.input_shape)} inputs; give one of the tasks another name."
            )


def _sized(name: str, like: Task) -> Task:
    """A task of which nothing but values is known, with networks of the size of another one's."""
    note = (
        f"nothing but values is known of task {name!r}: params_m and macs_m are of networks for "
        f"{shape_text(like.input_shape)} inputs and {like.num_classes} classes. Say otherwise with a task "
        "of your own: `task` path/to/file.py:my_task."
    )
    return Task(name, like.input_shape, like.num_classes, notes=(note,))


def _made(name: str, entry: TaskEntry, image_size: int | None) -> Task:
    task = entry if isinstance(entry, Task) else _called(entry, image_size)
    if not isinstance(task, Task):
        raise InvalidInputError(f"task {name!r} gave {task!r}; expected a gennas.Task.")
    if len(task.input_shape) == 1 and image_size is not None:
        raise InvalidInputError(
            f"task {task.name!r} has a graph, no images; leave the image size out (it is for digits and image folders)."
        )
    if len(task.input_shape) == 3 and image_size not in (None, *task.input_shape[1:]):
        raise InvalidInputError(
            f"task {task.name!r} has images of {task.input_shape[1]}x{task.input_shape[2]}, not {image_size}; leave "
            "the image size out (it is for digits and image folders)."
        )
    return task


def _called(make: Callable[..., Task], image_size: int | None) -> Task:
    sized = "image_size" in inspect.signature(make).parameters
    return make(image_size=image_size or _DEFAULT_SIZE) if sized else make()


__all__ = [
    "CLASSIFICATION",
    "TARGET_KINDS",
    "TASKS",
    "ImageSource",
    "Split",
    "Splits",
    "TargetKind",
    "Task",
    "describe_task",
    "get_task",
    "known_by_name",
    "sizing_task",
]
