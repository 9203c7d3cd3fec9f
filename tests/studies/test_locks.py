"""The lock of a study on a server: one writer, replaced when it is dead, and fenced off when it comes back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select, update

from gennas.errors import StudyError
from gennas.studies import locks
from gennas.studies.locks import STALE, WriterLock
from gennas.studies.records import Row, WriterRecord


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'server.sqlite'}")
    Row.metadata.create_all(engine)
    yield engine
    engine.dispose()


def edit(engine: Engine, **facts: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(WriterRecord).values(**facts))


def heartbeat(engine: Engine) -> float:
    with engine.begin() as connection:
        return float(connection.execute(select(WriterRecord.heartbeat)).scalar_one())


def test_one_writer_per_study(engine: Engine) -> None:
    first, other = WriterLock(engine, "one", "study 'one'"), WriterLock(engine, "two", "study 'two'")
    with pytest.raises(StudyError, match=r"writing to study 'one': process \d+ on .*, last seen 0 s"):
        WriterLock(engine, "one", "study 'one'")
    first.release()
    WriterLock(engine, "one", "study 'one'").release()
    other.release()
    with engine.begin() as connection:
        assert connection.execute(select(WriterRecord)).all() == []


def test_a_writer_without_sign_of_life_is_replaced_and_cannot_come_back(engine: Engine) -> None:
    first = WriterLock(engine, "one", "study 'one'")
    edit(engine, host="another machine", heartbeat=time.time() - STALE + 30)
    with pytest.raises(StudyError, match=r"process .* on another, last seen 150 s ago"):
        WriterLock(engine, "one", "study 'one'")
    edit(engine, heartbeat=time.time() - STALE - 1)
    second = WriterLock(engine, "one", "study 'one'")
    with pytest.raises(StudyError, match="another process has taken over study 'one'"), engine.begin() as connection:
        first.renew(connection)
    first.release()
    with engine.begin() as connection:
        second.renew(connection)
    second.release()


def test_a_writer_that_died_on_this_machine_is_replaced_at_once(engine: Engine) -> None:
    script = (
        "import os, sys; from sqlalchemy import create_engine; from gennas.studies.locks import WriterLock\n"
        "WriterLock(create_engine(sys.argv[1]), 'one', 'x'); os._exit(9)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(engine.url)], timeout=120, check=False)
    assert died.returncode == 9
    assert heartbeat(engine) > time.time() - STALE
    WriterLock(engine, "one", "study 'one'").release()


def test_a_writer_gives_signs_of_life(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT", 0.05)
    lock = WriterLock(engine, "one", "study 'one'")
    edit(engine, heartbeat=0.0)
    deadline = time.monotonic() + 20
    while heartbeat(engine) == 0.0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert heartbeat(engine) > time.time() - STALE
    lock.release()
