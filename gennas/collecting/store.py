"""What the study of a collection holds: its settings, which images its tasks had, and rows of trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gennas.errors import StudyError
from gennas.files import write_json
from gennas.spaces import Space
from gennas.studies.collected_tasks import TASKS, collected_tasks
from gennas.tasks import Task
from gennas.training.recipe import Recipe


def settings_of(space: Space, recipe: Recipe) -> dict[str, Any]:
    """What all rows depend on. Tasks, archs and seeds are not part of it, so that more can be added."""
    settings = {name: value for name, value in recipe.settings.items() if name != "seed"}
    return {"collection": True, "space": {"name": space.name, "skeleton": space.skeleton}, "recipe": settings}


def note_tasks(folder: Path, tasks: Sequence[Task]) -> None:
    """Notes which images tasks have, or finds that they are those of trainings that are there.

    Args:
        folder: of the study.
        tasks: with images.

    Raises:
        StudyError: a task of the same name had other images, or the file is damaged.
        DataMissingError: a task comes without images.
    """
    noted = collected_tasks(folder)
    for task in tasks:
        facts = {
            "images": task.splits().fingerprint,
            "input_shape": list(task.input_shape),
            "num_classes": task.num_classes,
        }
        if noted.setdefault(task.name, facts) != facts:
            raise StudyError(
                f"{folder} has trainings on other images of task {task.name!r} than those here; choose another folder."
            )
    write_json(folder / TASKS, noted)
