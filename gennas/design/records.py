"""Records: what a stage of a design found out, kept so that it is not found out again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gennas.documents import read_json
from gennas.errors import StudyError
from gennas.files import write_json


class Records:
    """JSON files in a folder, each written at once when what it holds is done.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> dict[str, Any] | None:
        """The record of that name; None where it is not there yet.

        Raises:
            StudyError: the file is damaged.
        """
        path = self.folder / f"{name}.json"
        if not path.is_file():
            return None
        try:
            found = read_json(path)
            if not isinstance(found, dict):
                raise ValueError(f"it holds {type(found).__name__}")
        except (OSError, ValueError) as error:
            raise StudyError(
                f"{path} is damaged ({error}); delete it, and what it holds is found out again."
            ) from error
        return found

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The record of that name, which is made and kept where it is not there yet."""
        found = self.find(name)
        if found is None:
            found = make()
            write_json(self.folder / f"{name}.json", found)
        return found
