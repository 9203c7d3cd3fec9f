"""Folders of the data that ships with gennas, and of what the user adds."""

import os
from pathlib import Path
from typing import Literal

from gennas.errors import DataMissingError


def shipped(kind: Literal["datasets", "checkpoints"]) -> Path:
    """The folder of the data sets or checkpoints that ship with gennas.

    A wheel holds it inside the package; a checkout or an editable install holds it at the top level.

    Raises:
        DataMissingError: the folder is missing.
    """
    package = Path(__file__).parent
    # Look inside the package first: site-packages may hold an unrelated package called "datasets".
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise DataMissingError(
        f"the {kind} that ship with gennas are neither in {package / '_shipped'} nor in {package.parent}; "
        "reinstall gennas, or use a full checkout."
    )


def gennas_home() -> Path:
    """``$GENNAS_HOME``, or ``~/.gennas``; created when something is first written to it.

    Raises:
        DataMissingError: the variable is not set, and the account has no home folder.
    """
    if given := os.environ.get("GENNAS_HOME"):
        return Path(given)
    try:
        return Path.home() / ".gennas"
    except RuntimeError as error:
        raise DataMissingError(
            "this account has no home folder; set the environment variable GENNAS_HOME to a folder of its own."
        ) from error


def readable(name: str | os.PathLike[str]) -> str:
    """A path for a message: bytes that are not UTF-8, and characters that cannot be printed, are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
