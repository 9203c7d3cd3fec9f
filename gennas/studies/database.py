"""Where the rows of a study are, if not in its folder: a database of one's own, which no other study may use."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml
from sqlalchemy.engine import make_url

from gennas.errors import StudyError
from gennas.files import write_yaml
from gennas.studies.records import Owner
from gennas.studies.storage import Store

_ELSEWHERE = "database.yaml"


def read_settings(path: Path) -> dict[str, Any] | None:
    """The settings in a file of a study; None if it is not there.

    Raises:
        StudyError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        settings = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        settings = None
    if not isinstance(settings, dict):
        raise StudyError(f"{path} is damaged: expected the settings of a study; restore it, or choose another --out.")
    return settings


def keep_elsewhere(folder: Path, url: str, has_own: bool) -> None:
    """Notes in a study's folder where its rows are, and in that database whose they are.

    Args:
        folder: of the study, locked.
        url: of the database.
        has_own: the folder holds a database already.

    Raises:
        StudyError: the study keeps its rows elsewhere, or the database is another study's.
    """
    store = Store(url)
    try:
        noted = read_settings(folder / _ELSEWHERE)
        if noted is None:
            if has_own:
                raise StudyError(f"{folder} keeps its rows in the folder, not in {store.name}; leave the database out.")
            noted = {"url": store.name, "study": uuid4().hex}
            write_yaml(folder / _ELSEWHERE, noted)
        if noted["url"] != store.name:
            raise StudyError(
                f"{folder} keeps its rows in {noted['url']}, not in {store.name}; give that, or another --out."
            )
        store.create()
        if not store.find(Owner):
            store.add([Owner(study=noted["study"])])
        if store.find(Owner)[0].study != noted["study"]:
            raise StudyError(f"{store.name} holds another study than {folder}; give a database of its own.")
    finally:
        store.close()


def stored_elsewhere(folder: Path, url: str | None) -> Store | None:
    """The database outside of a study's folder; None where there is none.

    Args:
        folder: of the study.
        url: with a password where one is needed.

    Raises:
        StudyError: a password is needed; or the database is damaged or out of reach.
    """
    noted = read_settings(folder / _ELSEWHERE)
    if noted is None:
        return None
    if url is None and make_url(noted["url"]).password is not None:
        raise StudyError(f"{folder} keeps its rows in {noted['url']}; give the database's URL with its password.")
    return Store(url or noted["url"])
