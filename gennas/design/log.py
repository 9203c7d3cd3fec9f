"""The log of a design: everything that gennas says while it runs, and which images could not be read."""

from __future__ import annotations

import logging
from logging.handlers import MemoryHandler
from pathlib import Path
from types import TracebackType
from typing import Self

NAME = "design.log"
_READING = "gennas.tasks.reading_report"


class RunLog:
    """Keeps what gennas logs while the context is open, and writes it to a file once that is known.

    Files that could not be read are named at level DEBUG, which is for the file alone.
    """

    def __init__(self) -> None:
        # Nothing flushes it by itself.
        self._handler = MemoryHandler(10**6, flushLevel=10**6, flushOnClose=True)
        self._log, self._reading = logging.getLogger("gennas"), logging.getLogger(_READING)
        self._levels = self._log.level, self._reading.level

    def __enter__(self) -> Self:
        self._log.addHandler(self._handler)
        if self._log.getEffectiveLevel() > logging.INFO:
            self._log.setLevel(logging.INFO)
        self._reading.addFilter(self._named)
        self._reading.setLevel(logging.DEBUG)
        return self

    def write_to(self, path: Path) -> None:
        """Appends what was logged to a file, and from now on what is logged."""
        file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self._handler.setTarget(file)
        self._handler.flush()
        self._log.removeHandler(self._handler)
        self._log.addHandler(file)
        # The same files at other sizes have nothing new to say.
        self._reading.setLevel(logging.WARNING)

    def _named(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.INFO or self._levels[0] == logging.DEBUG:
            return True
        self._handler.handle(record)
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        target = self._handler.target
        for handler in (self._handler, target):
            if handler is not None:
                self._log.removeHandler(handler)
        self._reading.removeFilter(self._named)
        self._reading.setLevel(self._levels[1])
        self._log.setLevel(self._levels[0])
        if target is not None:
            self._handler.close()
            target.close()
