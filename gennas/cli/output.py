"""Outcome: what every verb returns, and how it is shown."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.documents import read_json
from gennas.errors import StudyError, file_sentence
from gennas.files import check_writable, json_text, write_json

if TYPE_CHECKING:
    from gennas.arch import Arch


_LOG = logging.getLogger("gennas.cli")


@dataclass
class Outcome:
    """The result of a verb.

    Attributes:
        document: for ``--format json``.
        tables: for people: title -> rows, each a dict of column to cell.
        notes: sentences the user should read.
        wrote: the paths, or databases, that were written.
        next: the command to run next.
        failed: all of the work failed; the exit code is 1 then.
        saves: files that are still to be written, and what writes them.
    """

    document: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    wrote: Sequence[Path | str] = ()
    next: str = ""
    failed: bool = False
    saves: Sequence[tuple[Path, Callable[[], object]]] = ()

    def save(self) -> list[str]:
        """Writes the files of the result; what cannot be written is returned, one sentence each.

        The result is printed all the same: it may be the work of hours.
        """
        unsaved = []
        for path, write in self.saves:
            try:
                write()
            except OSError as error:
                unsaved.append(file_sentence(error))
                # It is likely to read that file.
                self.next = ""
            else:
                self.wrote = [*self.wrote, path]
        return unsaved


def show(outcome: Outcome, form: str) -> None:
    """Prints an outcome: one JSON document on stdout, or tables; notes and paths go to stderr with JSON."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    class Out(Console):
        """Leaves it to the caller what follows when nobody reads on; rich would end the process."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    aside = sys.stderr if form == "json" else sys.stdout
    if form == "json":
        print(json_text(outcome.document, default=str))
    # Off a terminal nothing is gained by folding: lines are for grep.
    console = Out(file=aside, width=None if aside.isatty() else 10_000, highlight=False)
    for title, rows in outcome.tables.items() if form == "table" else ():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        # A table narrower than its title would fold that.
        table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
        table.min_width = min(len(title), console.width)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(row.get(column, ""))) for column in columns))
        console.print(table, soft_wrap=False)
        console.print()
    for note in outcome.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for path in outcome.wrote:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)
    if outcome.next:
        console.print(f"next: {outcome.next}", markup=False, soft_wrap=True)


def named_in(folder: Path, location: str) -> Path | str:
    """A file or a database as the user would name it: a file in a folder that the user named begins with that name."""
    path = Path(location)
    return folder / path.name if path.is_absolute() and path.parent == folder.resolve() else location


def predicted_archs(archs: Sequence[Arch], predicted: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"key": arch.key, "predicted": values} for arch, values in zip(archs, predicted, strict=True)]


def predicted_rows(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for entry in entries for name in entry["predicted"])
    return [
        {"key": e["key"], **{n: cell(e["predicted"][n]) if n in e["predicted"] else "unknown" for n in names}}
        for e in entries
    ]


def cell(value: Any) -> str:
    """A number; a prediction as its mean with the std, or as its median with the 90 % interval where that is known."""
    if isinstance(value, dict) and "median" in value:
        return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
    if isinstance(value, dict) and value.get("mean") is None:
        return "not defined"
    if isinstance(value, dict):
        return f"{value['mean']:.4g} +- {value['std']:.2g}"
    return f"{value:.4g}"


def stored_result(out: Path | None, verb: str) -> dict[str, Any] | None:
    """The result of the same verb that ``out`` already holds, if any; to be called before the work.

    Where nothing can be written to ``out`` now, this is logged: the result will be printed only.

    Raises:
        StudyError: ``out`` is something else, which must not be overwritten.
    """
    if out is None:
        return None
    warn_unwritable(out)
    if not out.exists() or (out.is_file() and not out.stat().st_size):
        return None
    try:
        stored = read_json(out)
        if stored["made_by"] != _made_by(verb):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise StudyError(
            f"{out} already exists and is not a result of gennas {verb}; choose another file.", argument="out"
        ) from None
    return dict(stored)


def warn_unwritable(out: Path) -> None:
    """Logs before the work that a file cannot be written; what is found is printed then."""
    try:
        check_writable(out)
    except OSError as error:
        _LOG.warning("%s The result will be printed only.", file_sentence(error))


def saving(out: Path | None, verb: str, document: dict[str, Any]) -> Sequence[tuple[Path, Callable[[], object]]]:
    """For ``Outcome.saves``: the document as a JSON file that :func:`stored_result` recognises, where one is wanted."""
    if out is None:
        return ()
    return [(out, lambda: write_json(out, {"made_by": _made_by(verb), **document}))]


def _made_by(verb: str) -> str:
    return f"gennas {verb}"
