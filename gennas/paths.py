"""Where things lie: what comes with gennas, and what a user adds."""

import os
from pathlib import Path
from typing import Literal

from gennas.errors import DataMissingError


def shipped(kind: Literal["datasets", "checkpoints"]) -> Path:
    """The folder of everything of that kind that comes with gennas.

    An installed wheel holds it inside the package; a checkout or an editable install at the top level.

    Raises:
        DataMissingError: neither is there.
    """
    package = Path(__file__).parent
    # Inside the package first: beside an installed package may lie an unrelated package called "datasets".
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise DataMissingError(
        f"the {kind} that come with gennas are not in {package / '_shipped'} nor in {package.parent}; "
        "install gennas again, or use a full checkout."
    )


def gennas_home() -> Path:
    """``GENNAS_HOME``, or ``~/.gennas``; not made before something is written to it."""
    return Path(os.environ.get("GENNAS_HOME") or Path.home() / ".gennas")
