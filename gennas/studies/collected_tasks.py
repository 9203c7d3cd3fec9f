"""The tasks of a collection, which a file of its own notes: its settings name none, so that more can be added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gennas.documents import read_json
from gennas.errors import StudyError

#: In the folder of the study.
TASKS = "tasks.json"


def collected_tasks(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Name of a task -> its ``input_shape``, checksum of ``images`` and ``num_classes``; empty where nothing is noted.

    Raises:
        StudyError: the file is damaged.
    """
    path = folder / TASKS
    if not path.is_file():
        return {}
    try:
        return dict(read_json(path))
    except (ValueError, TypeError) as error:
        raise StudyError(f"{path} is damaged ({error}); restore it, or choose another folder.") from error
