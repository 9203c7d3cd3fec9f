"""Study: a folder that remembers every evaluation of a run, so that nothing is evaluated twice."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import filelock
import yaml
from sqlalchemy import UniqueConstraint, create_engine, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column

from gennas.errors import StudyError
from gennas.files import write_yaml

if TYPE_CHECKING:
    import pandas as pd

_DATABASE, _CONFIG, _LOCK = "study.sqlite", "config.yaml", "study.lock"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


class _Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    pass


class Evaluation(_Base):
    """One true value of one arch; a predicted value is never an evaluation.

    What a value does not depend on is the empty string, or 0: a NULL would let SQLite store the row twice.

    Attributes:
        arch: the arch's key.
        space: name of its space.
        task: name of the task.
        hardware: where a latency was measured; empty for other metrics.
        metric: name with its place, e.g. ``accuracy@digits``.
        value: in the metric's unit.
        seed: of the evaluation's randomness.
        fidelity: epochs of a training; 0 for other sources.
        source: ``table``, ``trained``, ``measured``, or ``computed`` (parameters and multiply-adds).
        seconds: what getting the value took.
        recipe: hash of how a network was trained; empty for other sources.
        created: UTC time in ISO 8601.
        machine: what computed it.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("arch", "space", "task", "hardware", "metric", "seed", "fidelity", "source", "recipe"),
    )

    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    arch: Mapped[str] = mapped_column(index=True)
    space: Mapped[str]
    task: Mapped[str]
    metric: Mapped[str]
    value: Mapped[float]
    source: Mapped[str]
    hardware: Mapped[str] = mapped_column(default="")
    seed: Mapped[int] = mapped_column(default=0)
    fidelity: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    recipe: Mapped[str] = mapped_column(default="")
    created: Mapped[str] = mapped_column(default_factory=_now)
    machine: Mapped[str] = mapped_column(default_factory=_machine)


class Study:
    """The evaluations of a run, in ``study.sqlite``, and the settings they belong to, in ``config.yaml``.

    The contract:

    - All rows of a study were made under the same settings. Settings are fixed when the folder is made.
    - There is one writer at a time. :meth:`open` takes the folder's lock, and gives it back at the end of the
      ``with`` block or when the process dies. Any number of processes may read: ``Study(folder)``.
    - :meth:`add` is one transaction: a process killed at any line leaves all of its rows, or none.
    - A row that is already there stays as it is, so repeating an evaluation does no harm.

    Args:
        folder: of an existing study, opened for reading.

    Raises:
        StudyError: there is no study in the folder, or its files are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: filelock.BaseFileLock | None = None
        self.config = _read_config(folder)
        if self.config is None:
            raise StudyError(f"{folder} is no study: it has no {_CONFIG}; give the --out of an earlier run.")
        self._engine = create_engine(f"sqlite:///{folder / _DATABASE}")
        try:
            _Base.metadata.create_all(self._engine)
        except DatabaseError as error:
            raise StudyError(
                f"{folder / _DATABASE} cannot be opened ({error.orig}); restore it, or choose another --out."
            ) from error

    @classmethod
    def open(cls, folder: Path, config: Mapping[str, Any]) -> Study:
        """Makes a study, or goes on with the one in the folder, as its only writer.

        Args:
            folder: made if it does not exist.
            config: the settings of the run: names, numbers, strings, and lists and dicts of these.

        Raises:
            StudyError: the folder holds other things, or a study with other settings, or another process
                is writing to it.
        """
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"{folder} is a file; choose another --out.")
        if _read_config(folder) is None and folder.is_dir():
            # Hidden files and the lock are what a process killed while making the study leaves behind.
            foreign = sorted(e.name for e in folder.iterdir() if e.name != _LOCK and not e.name.startswith("."))
            if foreign:
                raise StudyError(f"{folder} is no study: it holds {', '.join(foreign[:5])}; choose another --out.")
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise StudyError(
                f"another process is writing to {folder}; wait until it ends, or choose another --out."
            ) from error
        try:
            plain = yaml.safe_load(yaml.safe_dump(dict(config), sort_keys=False))
            stored = _read_config(folder)
            if stored is None:
                write_yaml(folder / _CONFIG, plain)
            elif differing := _differences(stored, plain):
                raise StudyError(
                    f"{folder} was made with other settings: {'; '.join(differing)}. "
                    "Choose another --out, or repeat the command with the settings of that study."
                )
            study = cls(folder)
        except BaseException:
            lock.release()
            raise
        study._lock = lock
        return study

    def add(self, rows: Sequence[Evaluation]) -> int:
        """Stores rows in one transaction, and returns how many of them were new."""
        if self._lock is None:
            raise StudyError(f"{self.folder} was opened for reading; use Study.open(folder, config) to write to it.")
        added = 0
        with Session(self._engine) as session, session.begin():
            for row in rows:
                values = {name: value for name, value in asdict(row).items() if name != "id"}
                result = session.execute(insert(Evaluation).values(values).on_conflict_do_nothing())
                added += result.rowcount  # type: ignore[attr-defined]
        return added

    def find(
        self, *, arch: str | None = None, metric: str | None = None, source: str | None = None
    ) -> list[Evaluation]:
        """The rows with these values, in the order in which they were added; None stands for any."""
        wanted = {"arch": arch, "metric": metric, "source": source}
        query = select(Evaluation).order_by(Evaluation.id)
        query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
        with Session(self._engine) as session:
            return list(session.scalars(query))

    def frame(self) -> pd.DataFrame:
        """All rows, one column per attribute of :class:`Evaluation`."""
        import pandas as pd

        columns = [column.name for column in Evaluation.__table__.columns]
        return pd.DataFrame([asdict(row) for row in self.find()], columns=columns)

    def close(self) -> None:
        """Lets other processes write."""
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read_config(folder: Path) -> dict[str, Any] | None:
    """The settings of the study in a folder; None if there are none."""
    path = folder / _CONFIG
    if not path.is_file():
        return None
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        config = None
    if not isinstance(config, dict):
        raise StudyError(f"{path} is damaged: expected the settings of a study; restore it, or choose another --out.")
    return config


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    if not isinstance(settings, dict):
        return {prefix: settings}
    return {
        name: value
        for key, inner in settings.items()
        for name, value in _flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def _differences(stored: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Settings that differ, each with both values."""
    old, new = _flat(stored), _flat(asked)
    return [
        f"{name} is {old.get(name, 'not set')} there and {new.get(name, 'not set')} here"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
