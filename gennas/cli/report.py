"""`gennas report`, and the page at the end of a run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gennas.cli.output import Outcome

_LOG = logging.getLogger("gennas.cli")


def report(
    study: Path,
    out: Path | None = None,
    task: str | None = None,
    database: str | None = None,
) -> Outcome:
    """Writes what a search or a validation found as one HTML page, which needs no network.

    Args:
        study: run folder of `gennas search` or `gennas validate`.
        out: the page; by default report.html in the run folder.
        task: the folder of the images that the run was for, of which the worst classified are shown; needed only where
            it has moved since.
        database: SQLAlchemy URL of the study's rows, where they are neither in the folder nor beside it.
    """
    from gennas.report import write_report

    path = write_report(study, out, task=task, database=database)
    rows = [{"page": str(path), "megabytes": f"{path.stat().st_size / 1e6:.2f}"}]
    return Outcome(
        {"report": str(path), "study": str(study)}, {"report": rows}, (), [path], f"open {path} in a browser"
    )


# Not typed as tasks and tables: jsonargparse imports what is imported for types only, and torch with it.
def page_at_end(study: Path, *, task: Any, named: str, database: str | None = None, table: Any = None) -> list[Path]:
    """The page of a run that has ended, in its folder; nothing where it cannot be written, which is logged.

    Args:
        study: run folder.
        task: of the run.
        named: the same as it was typed.
        database: URL of its rows.
        table: that answered.
    """
    from gennas.report import write_report

    try:
        return [write_report(study, task=task, named=named, database=database, table=table)]
    except Exception as error:
        # The run is done and stored; whatever is wrong with its page must not look as if it was not.
        _LOG.warning(
            "no report was written (%s: %s); everything else is stored. Try again: gennas report --study %s",
            type(error).__name__, error, study,
        )  # fmt: skip
        return []
