"""What is said of a folder of images while it is read, so that it is not said again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gennas.spaces import Space
    from gennas.tasks import Task

#: Who logs what was read.
_READING = "gennas.tasks.reading_report"


def said_while_reading(space: Space, task: Task) -> tuple[str, ...]:
    """The notes on a task that were logged when its images were read and that matter to networks of a space; none for
    other tasks than folders of images."""
    from gennas.tasks.folder import ImageFolder

    if not isinstance(task.source, ImageFolder):
        return ()
    return (*space.notes_on(replace(task, notes=task.source.notes)), *task.splits().notes)


@contextmanager
def heard_while_reading() -> Iterator[set[str]]:
    """Yields a set of what is said of images where they are read within the block; not every request does that."""
    heard = set[str]()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.add(record.getMessage().strip())

    log, listener = logging.getLogger(_READING), Listener()
    log.addHandler(listener)
    try:
        yield heard
    finally:
        log.removeHandler(listener)


@contextmanager
def last_reading() -> Iterator[None]:
    """Of images that are read at several sizes within the block, what is said of the last reading is logged at its end:
    a study is known by images of one size, and the network may take others."""
    records: list[logging.LogRecord] = []

    def keep(record: logging.LogRecord) -> bool:
        # A reading begins with a line that is not indented.
        if record.levelno == logging.INFO and not record.getMessage().startswith(" "):
            records.clear()
        records.append(record)
        return False

    log = logging.getLogger(_READING)
    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)
        for record in records:
            log.handle(record)


@contextmanager
def reading_quietly() -> Iterator[None]:
    """What is logged of images while they are read is not repeated within the block."""
    log = logging.getLogger(_READING)
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
