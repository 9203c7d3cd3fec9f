"""Study: a folder that remembers every evaluation of a run, so that nothing is evaluated twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import filelock
import yaml

from gennas.errors import InvalidInputError, StudyError
from gennas.files import write_json, write_parquet, write_text, write_yaml
from gennas.studies.database import keep_elsewhere, read_settings, stored_elsewhere
from gennas.studies.records import Evaluation, Failure, Proposed, Row
from gennas.studies.storage import IN_MEMORY, Store

if TYPE_CHECKING:
    import pandas as pd

_DATABASE, _CONFIG, _LOCK = "study.sqlite", "config.yaml", "study.lock"


class Study:
    """The rows of a run, in ``study.sqlite``, and the settings they belong to, in ``config.yaml``.

    The contract:

    - All rows of a study were made under the same settings. Settings are fixed when the folder is made.
    - There is one writer at a time. :meth:`open` takes the folder's lock, and gives it back at the end of the
      ``with`` block or when the process dies. Any number of processes may read: ``Study(folder)``.
    - :meth:`add` is one transaction: a process killed at any line leaves all of its rows, or none.
    - A row that is already there stays as it is, so repeating an evaluation does no harm.

    Args:
        folder: of an existing study, opened for reading.
        database: where the rows are, if its URL has a password; the folder knows everything else.

    Raises:
        StudyError: there is no study in the folder, or its files are damaged.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder = folder
        self._lock: filelock.BaseFileLock | None = None
        self._writes = False
        config = read_settings(folder / _CONFIG)
        if config is None:
            raise StudyError(f"{folder} is no study: it has no {_CONFIG}; give the --out of an earlier run.")
        self.config = config
        self._store = stored_elsewhere(folder, database) or Store(
            f"sqlite:///{folder / _DATABASE}", str(folder / _DATABASE)
        )

    @classmethod
    def open(cls, folder: Path, config: Mapping[str, Any], database: str | None = None) -> Study:
        """Makes a study, or goes on with the one in the folder, as its only writer.

        Args:
            folder: made if it does not exist.
            config: the settings of the run: names, numbers, strings, and lists and dicts of these.
            database: URL of SQLAlchemy of a database that holds this study and no other; None for a file in the
                folder.

        Raises:
            StudyError: the folder holds other things, or a study with other settings, or another process
                is writing to it; or the database is another study's, damaged or out of reach.
            InvalidInputError: the database's URL cannot be used.
        """
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"{folder} is a file; choose another --out.")
        if read_settings(folder / _CONFIG) is None and folder.is_dir():
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
            stored = read_settings(folder / _CONFIG)
            if stored is None:
                write_yaml(folder / _CONFIG, plain)
            elif differing := _differences(stored, plain):
                raise StudyError(
                    f"{folder} was made with other settings: {'; '.join(differing)}. "
                    "Choose another --out, or repeat the command with the settings of that study."
                )
            if database is not None:
                keep_elsewhere(folder, database, has_own=(folder / _DATABASE).exists())
            study = cls(folder, database)
            study._store.create()
        except BaseException:
            lock.release()
            raise
        study._lock, study._writes = lock, True
        return study

    @classmethod
    def in_memory(cls) -> Study:
        """A study that is forgotten with the process, for tests and simulations."""
        study = cls.__new__(cls)
        study.folder, study.config = Path("(in memory)"), {}
        study._lock, study._writes, study._store = None, True, Store(IN_MEMORY)
        study._store.create()
        return study

    def add(self, rows: Sequence[Row]) -> int:
        """Stores evaluations, failures and proposals in one transaction, and returns how many of them were new.

        Raises:
            StudyError: the study was opened for reading; or nothing can be stored, e.g. because the disk is full.
        """
        if not self._writes:
            raise StudyError(f"{self.folder} was opened for reading; use Study.open(folder, config) to write to it.")
        return self._store.add(rows)

    def find(
        self, *, arch: str | None = None, metric: str | None = None, source: str | None = None
    ) -> list[Evaluation]:
        """The evaluations with these values, in the order in which they were added; None stands for any."""
        return self._store.find(Evaluation, arch=arch, metric=metric, source=source)

    def failures(self, *, arch: str | None = None, reason: str | None = None) -> list[Failure]:
        """The failed attempts with these values, in the order in which they were added; None stands for any."""
        return self._store.find(Failure, arch=arch, reason=reason)

    def proposals(self) -> list[Proposed]:
        """What was proposed, in its order."""
        return self._store.find(Proposed)

    def frame(self) -> pd.DataFrame:
        """All evaluations, one column per attribute of :class:`Evaluation`."""
        import pandas as pd

        columns = [column.name for column in Evaluation.__table__.columns]
        return pd.DataFrame([[getattr(row, name) for name in columns] for row in self.find()], columns=columns)

    def write(self, path: Path) -> None:
        """Writes :meth:`frame` to a file, atomically.

        Args:
            path: ending in ``.parquet``, ``.csv`` or ``.json`` (one object per evaluation).

        Raises:
            InvalidInputError: another ending.
        """
        if path.suffix == ".parquet":
            write_parquet(self.frame(), path, {"study": str(self.folder)})
        elif path.suffix == ".csv":
            write_text(path, self.frame().to_csv(index=False))
        elif path.suffix == ".json":
            # Python's shortest digits give every value back exactly; those of pandas do not.
            write_json(path, self.frame().to_dict("records"))
        else:
            raise InvalidInputError(f"{path} ends in {path.suffix!r}; expected .parquet, .csv or .json.")

    def close(self) -> None:
        """Lets other processes write."""
        self._store.close()
        self._writes = False
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


__all__ = ["Evaluation", "Failure", "Proposed", "Study"]
