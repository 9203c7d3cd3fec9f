"""What a study says of its tasks: their names, and which images they had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennas.documents import read_json
from gennas.errors import StudyError
from gennas.studies.study import Study

#: In the folder of a collection, whose settings name no tasks, so that more can be added.
TASKS = "tasks.json"


def stored_tasks(study: Study) -> dict[str, Mapping[str, Any]]:
    """Name of a task -> its ``input_shape``, checksum of ``images`` and so on, as far as the study knows them.

    Raises:
        StudyError: the file with the tasks of a collection is damaged.
    """
    others = study.config.get("others")
    listed = [study.config.get("task"), *(others.values() if isinstance(others, Mapping) else ())]
    found = {str(one["name"]): one for one in listed if isinstance(one, Mapping) and "name" in one}
    path = study.folder / TASKS
    if path.is_file():
        try:
            found |= {str(name): {"name": name, **facts} for name, facts in dict(read_json(path)).items()}
        except (ValueError, TypeError) as error:
            raise StudyError(f"{path} is damaged ({error}); restore it, or choose another folder.") from error
    return found
