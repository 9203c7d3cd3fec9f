"""Study: a folder that remembers every evaluation of a run, so that nothing is evaluated twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import yaml

from gennas.errors import InvalidInputError, StudyError
from gennas.files import locked
from gennas.settings import differences
from gennas.studies import folder as folders
from gennas.studies.database import Database
from gennas.studies.exporting import OPTUNA, check_export, columns, write_export
from gennas.studies.formats import FORMAT
from gennas.studies.records import Evaluation, Failure, Prediction, Proposed, Row, SessionRecord
from gennas.studies.storage import Store

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study as OptunaStudy

    from gennas.problem import Problem


class Study:
    """The rows of a run, in ``study.sqlite`` or a database of its user's, and its settings, in ``config.yaml``.

    The contract:

    - All rows of a study were made under the same settings. Settings are fixed when the study is made.
    - There is one writer at a time, whichever folder it writes from. :meth:`open` takes the lock, and gives it back at
      the end of the ``with`` block or when the process dies (on a database server some minutes later, if it died on
      another machine). Any number of processes may read: ``Study(folder)``.
    - :meth:`add` is one transaction: a process killed at any line leaves all of its rows, or none.
    - A row that is already there stays as it is, so repeating an evaluation does no harm.
    - A study of an older gennas is upgraded when it is opened for writing; reading one does not change it.
    - Passwords in the database's URL are neither stored nor shown.

    Args:
        folder: of an existing study, opened for reading.
        database: URL of SQLAlchemy of the database with its rows, where it is neither in the folder nor a file beside
            it; the environment variable ``GENNAS_DATABASE`` may name it too.

    Raises:
        StudyError: there is no study in the folder, its files are damaged, its rows are gone, or they are in a database
            that has to be named.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        note = folders.read_note(folder)
        if note is None:
            raise StudyError(
                f"{folder} is not a study: it has no {folders.CONFIG}; expected the folder of an earlier run."
            )
        store = Store(folders.database_of(folder, note, database, is_reading=True), read_only=True)
        store.read(note.study)
        self._begin(folder, note.settings, store, None)

    def _begin(self, folder: Path, config: dict[str, Any], store: Store, held: ExitStack | None) -> None:
        self.folder, self.config = folder, config
        self._store, self._held = store, held

    @classmethod
    def open(
        cls, folder: Path, config: Mapping[str, Any], database: str | None = None, name: str | None = None
    ) -> Study:
        """Makes a study, or resumes the one in the folder, as its only writer.

        Args:
            folder: made if it does not exist.
            config: the settings of the run: names, numbers, strings, and lists and dicts of these.
            database: URL of SQLAlchemy of a database for any number of studies; None for a file in the folder.
            name: of the study in the database. A study that is there with the same settings is resumed, from any
                folder. None for the folder's own name for it, at random.

        Raises:
            StudyError: the folder holds other things, or the folder or the database a study with other settings;
                another process is writing to it; its rows are gone; or a file or the database is damaged or out of
                reach.
            InvalidInputError: the database's URL, the name or the settings cannot be used.
        """
        plain = _plain(config)
        if name is not None:
            folders.check_name(name)
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"{folder} is a file; choose another folder.")
        given = None if database is None else Database(database)
        if folders.read_note(folder) is None:
            _refuse_other_things(folder)
        with ExitStack() as held:
            with _making(folder):
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(folder / folders.LOCK, str(folder)))
            note = folders.read_note(folder)
            if note is None:
                place, study = _new(folder, given, name)
            else:
                _refuse_other_settings(f"{folder} was made", note.settings, plain)
                if name is not None and note.study and note.study != name:
                    raise StudyError(f"{folder} holds study {note.study!r}, not {name!r}; choose another folder.")
                place, study = folders.database_of(folder, note, database, is_reading=False), note.study
            store = Store(place)
            held.callback(store.close)
            if note is None and store.format is not None and store.format < FORMAT and given is None:
                raise StudyError(f"{folder} is not a study: it has no {folders.CONFIG}; choose another folder.")
            study = store.find_name(study)
            if (known := store.settings(study)) is not None:
                _refuse_other_settings(f"study {study!r} in {store.name} was made", known, plain)
            if note is None and given is not None:
                folders.write_elsewhere(folder, given, study)
            store.write(study, {"format": FORMAT, **plain}, is_new=note is None)
            if place.path is not None:
                lock = place.path.with_name(f".{place.path.name}.{store.study}.lock")
                held.enter_context(locked(lock, f"study {store.study!r} in {store.name}"))
            else:
                store.lock()
            with _making(folder):
                if note is None or note.format < FORMAT:
                    folders.write_elsewhere(folder, given if note is None else note.elsewhere, store.study)
                    # Last: a folder with settings has rows.
                    folders.write_config(folder, plain, store.study)
            study_ = cls.__new__(cls)
            study_._begin(folder, plain, store, held.pop_all())
        return study_

    @classmethod
    def in_memory(cls) -> Study:
        """A study that is forgotten with the process, for tests and simulations."""
        study, store = cls.__new__(cls), Store(None)
        store.write("memory", {"format": FORMAT}, is_new=True)
        held = ExitStack()
        held.callback(store.close)
        study._begin(Path("(in memory)"), {}, store, held)
        return study

    @property
    def name(self) -> str:
        """Of the study in its database."""
        return self._store.study

    @property
    def location(self) -> str:
        """Where the rows are: the path of a file, or the URL of a database with stars for its password."""
        return self._store.name

    def add(self, rows: Sequence[Row]) -> int:
        """Stores rows of any kinds in one transaction, and returns how many of them were new.

        Raises:
            StudyError: the study was opened for reading; or nothing can be stored, e.g. because the disk is full.
        """
        if self._held is None:
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

    def predictions(self) -> list[Prediction]:
        """What was predicted of archs when they were proposed; nothing of those that were chosen otherwise."""
        return self._store.find(Prediction)

    def sessions(self) -> list[SessionRecord]:
        """Who has written to the study, the first one first."""
        return self._store.find(SessionRecord)

    def frame(self) -> pd.DataFrame:
        """All evaluations, one column per attribute of :class:`Evaluation`."""
        import pandas as pd

        names = columns()
        return pd.DataFrame([[getattr(row, name) for name in names] for row in self.find()], columns=names)

    def to_optuna(
        self, storage: str | None = None, name: str | None = None, problem: Problem | None = None
    ) -> OptunaStudy:
        """This study as one of Optuna, with a trial for every arch: for its plots and importances, and its dashboard.

        Parameters are the operations of the slots (and free edges, where a space has some), values those of the
        objective (means over seeds), with their directions. A bound is one of Optuna's constraints. Trials are complete
        where all values of the objective are known, pruned where a bound was broken before that, failed where the
        evaluation failed; archs whose values are still to come are left out. User attributes hold the key and all
        metrics.

        Args:
            storage: URL of Optuna's storage, e.g. ``sqlite:///trials.db``; None for memory.
            name: of the study there; this study's by default.
            problem: its space, objective and bounds; by default those that the study was made for.

        Raises:
            DataMissingError: optuna is not installed.
            StudyError: a study of that name is there already; or nothing says what this one was made for.
            UnknownNameError: the study's space is not registered here.
        """
        from gennas.studies.optuna_export import to_optuna

        return to_optuna(self, storage, name, problem)

    def write(self, path: Path) -> None:
        """Writes :meth:`frame` to a file, or :meth:`to_optuna`, atomically.

        Args:
            path: ending in ``.parquet``, ``.csv`` or ``.json`` (one object per evaluation), or in ``.db`` for a
                database that Optuna opens; of a file that is there only an earlier export is replaced.

        Raises:
            InvalidInputError: another ending.
            StudyError: something else is there.
            OSError: the file cannot be written.
        """
        check_export(path)
        if path.suffix == OPTUNA:
            from gennas.studies.optuna_export import write_optuna

            write_optuna(self, path)
        else:
            write_export(self.frame(), path, str(self.folder))

    def close(self) -> None:
        """Lets other processes write."""
        held, self._held = self._held, None
        if held is not None:
            held.close()
        else:
            self._store.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a file gives them back: lists for tuples."""
    if reserved := sorted({"format", "study"} & set(config)):
        raise InvalidInputError(f"config has the keys {', '.join(reserved)}, which belong to the study itself.")
    plain: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(config), sort_keys=False))
    return plain


def _new(folder: Path, given: Database | None, name: str | None) -> tuple[Database, str]:
    """The database and the name of a study that is not made yet, or that a process was killed while making."""
    if given is None:
        own = Database.of_file(folder / folders.DATABASE)
        return own, name or ""
    begun = folders.read_elsewhere(folder)
    return given, name or (begun[1] if begun is not None and begun[0].is_same(given) else "") or uuid4().hex[:12]


def _refuse_other_things(folder: Path) -> None:
    """Refuses a folder without a study that is not ours to write to."""
    # Hidden files and these are what a process that was killed while making the study leaves behind.
    ours = (folders.LOCK, folders.DATABASE, f"{folders.DATABASE}-journal", folders.ELSEWHERE)
    entries = folder.iterdir() if folder.is_dir() else ()
    if foreign := sorted(entry.name for entry in entries if entry.name not in ours and not entry.name.startswith(".")):
        raise StudyError(f"{folder} is not a study: it holds {', '.join(foreign[:5])}; choose another folder.")


def _refuse_other_settings(what: str, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    if differing := differences(stored, asked):
        raise StudyError(
            f"{what} with other settings: {'; '.join(differing)}. Choose another folder, or run the command again with "
            "the settings of that study."
        )


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StudyError(f"{folder} cannot be written to ({reason}); choose another folder.") from error


__all__ = ["Evaluation", "Failure", "Prediction", "Proposed", "SessionRecord", "Study"]
