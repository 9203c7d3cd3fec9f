"""Image place: where the images of a run are on this machine, so that they need not be named again.

Not a setting: the same images at another place are the same task. What the note says is tried and never trusted, as a
folder of a run may come from anybody: it is of use only where its images are those of the study, by their checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gennas.errors import GennasError, InvalidInputError, StudyError
from gennas.files import write_yaml
from gennas.settings import read_settings
from gennas.tasks import CLASSIFICATION, TARGET_KINDS, Task, get_task
from gennas.tasks.folder import ImageFolder
from gennas.training.network_files import task_folder

IMAGES = "images.yaml"


def note_images(folder: Path, task: Task) -> None:
    """Notes the folder of a task's images in a run folder; nothing for tasks that are known by their name."""
    if not isinstance(task.source, ImageFolder):
        return
    place: dict[str, object] = {"path": str(task.source.path), "nested": task.source.nested}
    if task.targets != CLASSIFICATION:
        place["targets"] = task.targets.name
    if _read(folder) != place:
        folder.mkdir(parents=True, exist_ok=True)
        write_yaml(folder / IMAGES, place)


def stored_tasks(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Name -> what the settings of a study say of a task, the first one first; mostly there is one."""
    others = config.get("others")
    parts = [config.get("task"), *(others.values() if isinstance(others, Mapping) else ())]
    return {str(part["name"]): part for part in parts if isinstance(part, Mapping) and "name" in part}


def folder_of(folder: Path, config: Mapping[str, Any], task: str) -> Path:
    """Where a study keeps what belongs to one of its tasks: that of the first is in its own folder."""
    return folder if task in list(stored_tasks(config))[:1] else task_folder(folder, task)


def noted_task(folder: Path, config: Mapping[str, Any], name: str | None = None) -> Task | None:
    """A task of a study, from where its images were when it last ran; None where these are there no longer.

    Args:
        folder: of the study.
        config: its settings.
        name: of the task; None for the first.
    """
    tasks = stored_tasks(config)
    stored = tasks.get(name) if name is not None else next(iter(tasks.values()), None)
    place = _read(folder if name is None else folder_of(folder, config, name))
    if not place or not isinstance(stored, Mapping):
        return None
    path, shape, images = place.get("path"), stored.get("input_shape"), stored.get("images")
    if not isinstance(path, str) or not Path(path).is_absolute() or not images:
        return None
    if not isinstance(shape, list) or len(shape) != 3:
        return None
    try:
        kind = str(place.get("targets", CLASSIFICATION.name))
        if kind not in TARGET_KINDS:
            return None
        task = get_task(
            path, image_size=shape[1], nested=place.get("nested") is True, targets=TARGET_KINDS.registered(kind)()
        )
        is_same = isinstance(task.source, ImageFolder) and task.splits().fingerprint == images
    except (GennasError, OSError, ValueError, TypeError):
        return None
    return task if is_same and task.name == stored.get("name") else None


def opened_task(named: str, config: Mapping[str, Any], *, nested: bool = False) -> Task:
    """A task of a study as :func:`sized_task` gives it, by the name that :func:`known_as` gives it.

    Args:
        named: its name, or the path of its images.
        config: settings of the study.
        nested: whether images in subfolders of class folders are read.

    Raises:
        GennasError: as of :func:`gennas.tasks.get_task`.
    """
    tasks = stored_tasks(config)
    first = next(iter(tasks.values()), {})
    stored = tasks.get(named, first)
    task = known_as(sized_task(named, stored, nested=nested), config)
    # Only the task itself says which of several an address or a path is.
    if (own := tasks.get(task.name)) is not None:
        return task if own is stored else sized_task(named, own, nested=nested)
    others = (known_as(sized_task(named, other, nested=nested), config) for other in [*tasks.values()][1:])
    return next((other for other in others if other.name in tasks), task)


def known_as(task: Task, config: Mapping[str, Any]) -> Task:
    """The task by the name that a study has for its images: those of a folder that was renamed are the same."""
    tasks = stored_tasks(config)
    if task.name in tasks or not task.has_images or not any("images" in part for part in tasks.values()):
        return task
    images = task.splits().fingerprint
    return next((replace(task, name=name) for name, part in tasks.items() if part.get("images") == images), task)


def refuse_renamed(folder: Path, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuses to go on with a study whose images have another name now: its metrics have the old one.

    Args:
        folder: of the study.
        stored: its settings.
        asked: the settings of the run.

    Raises:
        StudyError: a task of the run has the images of one of the study, and another name.
    """
    tasks = stored_tasks(stored)
    known = {part["images"]: name for name, part in tasks.items() if "images" in part}
    for name, part in stored_tasks(asked).items():
        if name not in tasks and (before := known.get(part.get("images"))) is not None:
            raise StudyError(
                f"{folder} was made with the same images under the name {before!r}, and they are called {name!r} now; "
                f"call them {before!r} again, or choose another folder."
            )


def sized_task(name: str, stored: Mapping[str, Any], *, nested: bool = False) -> Task:
    """The task of that name, with images of the size, and targets of the kind, that a study was made with.

    Args:
        name: of the task, or the path of its images.
        stored: what the study stores of its task, ``input_shape`` and ``targets``; anything else says nothing.
        nested: whether images in subfolders of class folders are read.

    Raises:
        GennasError: as of :func:`gennas.tasks.get_task`.
    """
    shape = stored.get("input_shape")
    size = shape[1] if isinstance(shape, list | tuple) and len(shape) == 3 else None
    targets = TARGET_KINDS.registered(str(stored.get("targets", CLASSIFICATION.name)))()
    try:
        return get_task(name, image_size=size, nested=nested, targets=targets)
    except InvalidInputError:
        # A task of one size does not take it.
        return get_task(name, nested=nested, targets=targets)


def kind_setting(task: Task) -> dict[str, str]:
    """What a study's settings say of a task's targets: nothing of classes, as studies of earlier versions."""
    return {} if task.targets == CLASSIFICATION else {"targets": task.targets.name}


def _read(folder: Path) -> dict[str, Any]:
    path = folder / IMAGES
    try:
        return read_settings(path) if path.is_file() else {}
    except (GennasError, OSError):
        return {}
