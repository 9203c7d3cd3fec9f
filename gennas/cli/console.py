"""What a person reads on stderr: the log of the library as plain lines, and a bar for progress on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from gennas.cli.parser import with_flags
from gennas.progress import Report, displayed, logged


class StderrHandler(logging.Handler):
    """Prints every record as a plain line. A stream handler would keep the stderr it was made with, and write into
    a bar, which takes the place of stderr while it is drawn.

    Args:
        names: options of the verb; arguments of the library that a line mentions are shown as its flags.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(with_flags(self.format(record), self.names), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


@contextmanager
def console(names: Sequence[str] = (), *, debug: bool = False) -> Iterator[None]:
    """Shows what gennas logs while the context is open; of other packages the user sees warnings only.

    Args:
        names: options of the verb.
        debug: show what is logged at level DEBUG, too, in place of INFO and above.
    """
    log, handler = logging.getLogger("gennas"), StderrHandler(names)
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        with displayed(bar) if sys.stderr.isatty() else nullcontext():
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@contextmanager
def bar(title: str, total: int) -> Iterator[Report]:
    """A live bar with an estimate of what is left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        # Not read as markup: a note may hold brackets.
        TextColumn("{task.fields[note]}", markup=False),
    )
    # What is counted meanwhile has no bar of its own: not every rich draws two.
    with displayed(logged), Progress(*columns, console=Console(stderr=True)) as live:
        task = live.add_task(title, total=total, note="")
        yield lambda done, note: live.update(task, completed=done, note=note)
