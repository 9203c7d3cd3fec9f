"""The folder of a study: ``config.yaml`` with its settings, and ``database.yaml`` where its rows are elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gennas.errors import GennasError, InvalidInputError, StudyError
from gennas.files import write_yaml
from gennas.settings import read_settings
from gennas.studies.database import Database
from gennas.studies.formats import FORMAT, upgraded_settings

DATABASE, CONFIG, LOCK, ELSEWHERE = "study.sqlite", "config.yaml", "study.lock", "database.yaml"
#: Names a URL, with its password, for whoever reads studies.
_VARIABLE = "GENNAS_DATABASE"
_NAME = re.compile(r"\w[\w.-]{0,99}")


@dataclass(frozen=True)
class StudyNote:
    """What a folder says of its study.

    Attributes:
        settings: in this format.
        format: that they are stored in.
        study: the study's name; empty where the folder does not know it.
        elsewhere: the database of its rows, without a password; None for a file in the folder.
    """

    settings: dict[str, Any]
    format: int
    study: str
    elsewhere: Database | None


def read_note(folder: Path) -> StudyNote | None:
    """What a folder says of its study; None where it has none.

    Raises:
        StudyError: a file is damaged, or of a newer gennas.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    stored = _read(path)
    number, study = stored.pop("format", 1), stored.pop("study", "")
    if not isinstance(number, int) or number < 1 or not isinstance(study, str):
        raise StudyError(f"{path} is damaged: its format is {number!r} and its study {study!r}; restore it.")
    noted = read_elsewhere(folder)
    elsewhere, named = noted if noted is not None else (None, "")
    return StudyNote(upgraded_settings(stored, number, str(folder)), number, study or named, elsewhere)


def read_elsewhere(folder: Path) -> tuple[Database, str] | None:
    """The database outside of a folder, and the name of the study there; None where there is none.

    Raises:
        StudyError: the file is damaged.
    """
    path = folder / ELSEWHERE
    if not path.is_file():
        return None
    noted = _read(path)
    try:
        return Database(noted["url"]), str(noted.get("study", ""))
    except (InvalidInputError, KeyError):
        raise StudyError(f"{path} is damaged: expected the URL of a database; restore it.") from None


def write_elsewhere(folder: Path, database: Database | None, study: str) -> None:
    """Notes where the rows are; None for a file in the folder."""
    if database is None:
        (folder / ELSEWHERE).unlink(missing_ok=True)
    else:
        write_yaml(folder / ELSEWHERE, {"url": database.url, "study": study})


def write_config(folder: Path, settings: Mapping[str, Any], study: str) -> None:
    """Writes the settings, with their format and the study's name."""
    write_yaml(folder / CONFIG, {"format": FORMAT, "study": study, **settings})


def database_of(folder: Path, note: StudyNote, url: str | None, *, is_reading: bool) -> Database:
    """The database of an existing study.

    A folder may come from anybody: where its rows are elsewhere, the URL is the user's to give, unless it is an SQLite
    file in the folder or beside it.

    Args:
        folder: of the study.
        note: what it says.
        url: that the user gives, with its password.
        is_reading: the URL may also come from the environment.

    Raises:
        InvalidInputError: the URL cannot be used.
        StudyError: a URL is needed, or it is another database's; or the rows are gone.
    """
    given = None if url is None else Database(url)
    if note.elsewhere is None:
        found = Database.of_file(folder / DATABASE)
        if given is not None and not given.is_same(found):
            raise StudyError(f"{folder} keeps its rows in {found.name}, not in {given.name}; leave `database` out.")
    else:
        found = note.elsewhere
        if given is None and is_reading and _VARIABLE in os.environ:
            named = Database(os.environ[_VARIABLE])
            given = named if named.is_same(found) else None
        if given is None and not _is_near(found, folder):
            raise StudyError(
                f"{folder} keeps its rows in {found.name}; give its URL as `database`, with the password if it has "
                f"one{f', or set {_VARIABLE} to it' if is_reading else ''}."
            )
        if given is not None and not given.is_same(found):
            raise StudyError(
                f"{folder} keeps its rows in {found.name}, not in {given.name}; give that, or choose another folder."
            )
        found = given or found
    if found.path is not None and not found.path.is_file():
        raise StudyError(
            f"the rows of the study in {folder} are gone: {found.path} is missing. Restore it, or choose another "
            "folder."
        )
    return found


def check_name(study: str) -> None:
    """Raises InvalidInputError for what is not a valid name of a study."""
    if not _NAME.fullmatch(study):
        raise InvalidInputError(
            f"is {study!r}; expected up to 100 letters, digits, '_', '-' and '.', e.g. 'photos-1'.",
            argument="study_name",
        )


def _is_near(database: Database, folder: Path) -> bool:
    if database.path is None:
        return False
    path, here = database.path.resolve(), folder.resolve()
    return path.is_relative_to(here) or path.parent == here.parent


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_settings(path)
    except GennasError as error:
        raise StudyError(f"{error} Restore it, or choose another folder.") from error
