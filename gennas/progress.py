"""Progress of long computations: the library logs it; who speaks to a person may show it otherwise."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

_LOG = logging.getLogger(__name__)

#: Called with the number of finished units and a short note (a loss, a name).
Report = Callable[[int, str], None]
#: Takes a title and how many units there are, and shows what its report is called with while it is open.
Display = Callable[[str, int], AbstractContextManager[Report]]

#: Seconds without a line after which one is logged though no tenth is done.
QUIET = 30


def silent(done: int, note: str) -> None:
    """Reports nothing: what the library does unless it is given another :data:`Report`."""


@contextmanager
def progress(title: str, total: int) -> Iterator[Report]:
    """Yields a function that takes how many of ``total`` units are done, and a note."""
    with _display.get()(title, total) as report:
        yield report


@contextmanager
def displayed(display: Display) -> Iterator[None]:
    """Shows progress with ``display``, in place of the log, while the context is open."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


@contextmanager
def logged(title: str, total: int) -> Iterator[Report]:
    """Logs a line at every tenth, with an estimate of the seconds that are left; and, so that what takes long does not
    look stuck, where nothing was said for half a minute and a tenth of the time before."""
    start, shown, said = time.monotonic(), -1, 0.0

    def report(done: int, note: str) -> None:
        nonlocal shown, said
        tenth, elapsed = 10 * done // max(total, 1), time.monotonic() - start
        if tenth <= shown and elapsed < 1.1 * said + QUIET:
            return
        shown, said = max(tenth, shown), elapsed
        # Before the first tenth the start-up would be taken for the pace.
        left = f", {elapsed * (total - done) / done:.0f} s left" if 0 < tenth < 10 else ""
        _LOG.info("%s", f"{title}: {done}/{total}, {elapsed:.0f} s{left} {note}".rstrip())

    yield report


_display: ContextVar[Display] = ContextVar("display", default=logged)


def estimate_text(seconds: float) -> str:
    """How long something will take, as people say it: no more exact than an estimate is."""
    if seconds < 90:
        return f"{max(round(seconds / 10) * 10, 10)} seconds"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 100 else f"{seconds / 3600:.1f} hours"
