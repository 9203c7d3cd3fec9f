"""Progress with an estimate of what is left: a live bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with the number of finished units and a short note (a loss, a name).
Report = Callable[[int, str], None]


@contextmanager
def progress(title: str, total: int) -> Iterator[Report]:
    """Yields a function that takes how many of ``total`` units are done, and a note."""
    if sys.stderr.isatty():
        yield from _live(title, total)
    else:
        yield from _plain(title, total)


def _live(title: str, total: int) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        "{task.fields[note]}",
    )
    rendered = (TextColumn(column) if isinstance(column, str) else column for column in columns)
    with Progress(*rendered, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=note)


def _plain(title: str, total: int) -> Iterator[Report]:
    start, shown = time.monotonic(), -1

    def report(done: int, note: str) -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth <= shown:
            return
        shown = tenth
        elapsed = time.monotonic() - start
        # Before the first tenth the start-up would be taken for the pace.
        left = f", {elapsed * (total - done) / done:.0f} s left" if 0 < tenth < 10 else ""
        print(f"{title}: {done}/{total}, {elapsed:.0f} s{left} {note}".rstrip(), file=sys.stderr)

    yield report
