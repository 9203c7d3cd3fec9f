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
    """``$GENNAS_HOME``, or ``~/.gennas``; created when something is first written to it."""
    return Path(os.environ.get("GENNAS_HOME") or Path.home() / ".gennas")
