"""What is said of a folder of images while it is read, so that it is not said again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gennas.tasks import Task


def said_while_reading(task: Task) -> tuple[str, ...]:
    """The notes on a task that were logged when its images were read; none for other tasks than folders of images."""
    from gennas.tasks.folder import ImageFolder

    return (*task.source.notes, *task.splits().notes) if isinstance(task.source, ImageFolder) else ()


@contextmanager
def reading_quietly() -> Iterator[None]:
    """What is logged of images while they are read is not repeated within the block."""
    log = logging.getLogger("gennas.tasks.reading_report")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
