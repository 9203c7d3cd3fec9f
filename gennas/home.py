"""Where gennas keeps what a user adds."""

import os
from pathlib import Path


def gennas_home() -> Path:
    """``GENNAS_HOME``, or ``~/.gennas``; not made before something is written to it."""
    return Path(os.environ.get("GENNAS_HOME") or Path.home() / ".gennas")
