"""Locks: a study has one writer at a time, wherever its folder and its rows are."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from uuid import uuid4

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gennas.errors import StudyError
from gennas.studies.records import WriterRecord

#: Seconds between two signs of life, and after how many without one a writer counts as dead.
HEARTBEAT, STALE = 20.0, 180.0


class WriterLock:
    """A row that says who writes to a study on a server, renewed by a thread while this process lives.

    Clocks of the hosts may differ by much less than :data:`STALE`. Whoever was taken for dead (a laptop that slept)
    finds that out at the next :meth:`renew`, inside of the transaction that would have written.

    Args:
        engine: of the database, with its tables.
        study: name of the study.
        what: is written to, for messages.

    Raises:
        StudyError: another process writes to the study.
    """

    def __init__(self, engine: Engine, study: str, what: str) -> None:
        self._engine, self._study, self._what = engine, study, what
        self._owner = uuid4().hex
        self._acquire()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"writer of {study}", daemon=True)
        self._thread.start()

    def renew(self, connection: Connection) -> None:
        """Says that this process lives, in a transaction of the caller's.

        Raises:
            StudyError: another process took the study over.
        """
        mine = (WriterRecord.study == self._study) & (WriterRecord.owner == self._owner)
        renewed = connection.execute(update(WriterRecord).where(mine).values(heartbeat=time.time()))
        if renewed.rowcount != 1:
            raise StudyError(
                f"another process has taken over {self._what} while this one gave no sign of life for "
                f"{STALE / 60:.0f} minutes; nothing was stored. Run the command again when the other has ended."
            )

    def release(self) -> None:
        """Lets other processes write."""
        self._ended.set()
        self._thread.join()
        # Where the server is out of reach the row becomes stale.
        with contextlib.suppress(SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(delete(WriterRecord).where(WriterRecord.owner == self._owner))

    def _acquire(self) -> None:
        facts = {"owner": self._owner, "host": _host(), "pid": os.getpid(), "heartbeat": time.time()}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(WriterRecord).values(study=self._study, **facts))
            return
        except IntegrityError:
            pass
        with self._engine.begin() as connection:
            before = connection.execute(select(WriterRecord.__table__).filter_by(study=self._study)).one_or_none()
            if before is not None and not _is_dead(before.host, before.pid, before.heartbeat):
                raise StudyError(
                    f"another process is writing to {self._what}: process {before.pid} on {before.host.split()[0]}, "
                    f"last seen {max(time.time() - before.heartbeat, 0):.0f} s ago. Wait until it ends; if it died, "
                    f"this command works {STALE / 60:.0f} minutes after that."
                )
            # Of two that find the same dead writer only one finds it unchanged.
            owner = before.owner if before is not None else ""
            found = (WriterRecord.study == self._study) & (WriterRecord.owner == owner)
            if connection.execute(update(WriterRecord).where(found).values(**facts)).rowcount != 1:
                raise StudyError(f"another process has just begun to write to {self._what}; wait until it ends.")

    def _live(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            # What went wrong here is found out and said by the next rows.
            with contextlib.suppress(SQLAlchemyError, StudyError), self._engine.begin() as connection:
                self.renew(connection)


def _host() -> str:
    """The machine; containers on one machine may share its name, but not the numbers of its processes."""
    try:
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{platform.node()} "


def _is_dead(host: str, pid: int, heartbeat: float) -> bool:
    if time.time() - heartbeat > STALE:
        return True
    if host != _host() or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
