"""Store: the rows of one study in a database that SQLAlchemy knows, added whole or not at all, and never twice."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import groupby
from typing import Any, TypeVar, cast
from uuid import uuid4

from sqlalchemy import Table, create_engine, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from gennas.documents import parse_json
from gennas.errors import StudyError
from gennas.studies import formats
from gennas.studies.database import Database
from gennas.studies.inserting import insert_new
from gennas.studies.locks import WriterLock
from gennas.studies.records import FormatRecord, Row, StudyRecord, defect_of

Kind = TypeVar("Kind", bound=Row)


class Store:
    """Rows in a database.

    Args:
        database: where they are; None for memory, which is forgotten with the process.
        read_only: for reading: changes nothing.

    Raises:
        InvalidInputError: the driver of the database is not installed.
        StudyError: the database is damaged, out of reach, or of a newer gennas.
    """

    def __init__(self, database: Database | None, *, read_only: bool = False) -> None:
        self._database = database
        #: Of the database in messages.
        self.name = "memory" if database is None else database.name
        # One connection is one database in memory.
        self.engine = (
            create_engine("sqlite://", poolclass=StaticPool)
            if database is None
            else database.engine(read_only=read_only)
        )
        #: Name of the study whose rows are added and found.
        self.study = ""
        self._lock: WriterLock | None = None
        with self._opening(), self.engine.connect() as connection:
            #: Of the tables; None where there are none yet.
            self.format = formats.format_of(connection, self.name)

    def find_name(self, study: str) -> str:
        """The name of a study whose folder may not know it: the only one of the database, or a new one.

        Args:
            study: its name, or the empty string.

        Raises:
            StudyError: the database holds several.
        """
        if study:
            return study
        if self.format is None or self.format < formats.FORMAT:
            return uuid4().hex[:12]
        names = self._names()
        if len(names) > 1:
            raise StudyError(f"{self.name} holds several studies; restore config.yaml, which says which one is meant.")
        return names[0] if names else uuid4().hex[:12]

    def read(self, study: str) -> None:
        """Gets ready for reading a study; one of an older format is upgraded in memory.

        Args:
            study: its name, or the empty string.

        Raises:
            StudyError: the database does not hold that study, or is damaged.
        """
        with self._opening():
            self._refuse_empty()
            study = self.find_name(study)
            if self.format is not None and self.format < formats.FORMAT:
                old, self.engine = self.engine, formats.upgraded_copy(self.engine, self.format, study, self.name)
                old.dispose()
            self._check_tables()
            self._refuse_missing(study)
        self.study = study

    def write(self, study: str, settings: Mapping[str, Any], *, is_new: bool) -> None:
        """Gets ready for writing to a study: makes or upgrades the tables, and adds the study to them.

        Args:
            study: its name.
            settings: with the number of this format.
            is_new: the study may not be there yet.

        Raises:
            StudyError: the database cannot be written to, is damaged, or does not hold the study.
        """
        document = json.dumps(settings)
        with self._opening():
            if not is_new:
                self._refuse_empty()
            if self.format is not None and self.format < formats.FORMAT:
                self._upgrade(study)
            self._create()
            self._check_tables()
            if is_new:
                with self.engine.begin() as connection:
                    record = StudyRecord(name=study, settings=document)
                    insert_new(connection, cast(Table, StudyRecord.__table__), [self._document(record)])
            self._refuse_missing(study)
            with self.engine.begin() as connection:
                unknown = (StudyRecord.name == study) & (StudyRecord.settings == "")
                connection.execute(update(StudyRecord).where(unknown).values(settings=document))
        self.study = study

    def settings(self, study: str) -> dict[str, Any] | None:
        """The settings of a study as the database has them, in this format; None where it does not know them.

        Raises:
            StudyError: they are damaged, or of a newer gennas.
        """
        if self.format is None or self.format < formats.FORMAT:
            return None
        with self._opening(), self.engine.connect() as connection:
            text = connection.execute(select(StudyRecord.settings).filter_by(name=study)).scalar()
        if not text:
            return None
        try:
            stored = parse_json(text)
            number = int(stored.pop("format"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StudyError(f"{self.name} is damaged: the settings of study {study!r} cannot be read.") from None
        return formats.upgraded_settings(stored, number, f"study {study!r} in {self.name}")

    def lock(self) -> WriterLock:
        """Makes this process the study's only writer, on a database server."""
        with self._opening():
            self._lock = WriterLock(self.engine, self.study, f"study {self.study!r} in {self.name}")
        return self._lock

    def add(self, rows: Sequence[Row]) -> int:
        """Stores rows of any kinds in one transaction, and returns how many were new; the others stay as they are.

        Raises:
            StudyError: the disk is full, or the database is out of reach.
        """
        added = 0
        with self._writing(), self.engine.begin() as connection:
            if self._lock is not None:
                self._lock.renew(connection)
            for kind, group in groupby(sorted(rows, key=lambda row: type(row).__name__), type):
                added += insert_new(
                    connection, cast(Table, cast(Any, kind).__table__), [self._document(row) for row in group]
                )
        return added

    def find(self, kind: type[Kind], **wanted: str | int | None) -> list[Kind]:
        """The rows of a kind with these values, in the order in which they were added; None stands for any.

        Raises:
            StudyError: the database is damaged or out of reach.
        """
        query = select(kind).filter_by(study=self.study).order_by(*inspect(kind).primary_key)
        query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
        with self._opening(), Session(self.engine) as session:
            rows = list(session.scalars(query))
        for row in rows:
            if defect := defect_of(kind.__table__, vars(row)):
                raise StudyError(f"{self.name} is damaged: {defect}; restore it, or choose another folder.")
        return rows

    def close(self) -> None:
        """Ends all connections, and lets other processes write."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self.engine.dispose()

    def _document(self, row: Row) -> dict[str, Any]:
        names = [field.name for field in fields(cast(Any, row)) if field.init]
        own = {"study": self.study} if "study" in row.__table__.columns else {}
        return {**{name: getattr(row, name) for name in names}, **own}

    def _create(self, attempts: int = 5) -> None:
        try:
            with self.engine.begin() as connection:
                Row.metadata.create_all(connection)
                if connection.execute(select(FormatRecord.number)).scalar() is None:
                    connection.execute(insert(FormatRecord).values(id=0, number=formats.FORMAT))
        except DBAPIError:
            # Processes that start together all find no table, and all but one fail to make it.
            if attempts == 1:
                raise
            time.sleep(0.1)
            self._create(attempts - 1)
        self.format = formats.FORMAT

    def _upgrade(self, study: str) -> None:
        with self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # Python's driver would begin after the tables are changed.
                connection.exec_driver_sql("begin immediate")
            number = formats.format_of(connection, self.name)
            if number is not None and number < formats.FORMAT:
                formats.upgrade_tables(connection, number, study, self.name)
            connection.commit()

    def _names(self) -> list[str]:
        with self._opening(), self.engine.connect() as connection:
            return list(connection.execute(select(StudyRecord.name)).scalars())

    def _refuse_empty(self) -> None:
        if self.format is None:
            raise StudyError(f"{self.name} holds no study any more; restore it, or choose another folder.")

    def _refuse_missing(self, study: str) -> None:
        if study not in self._names():
            raise StudyError(f"{self.name} does not hold study {study!r}; restore it, or choose another folder.")

    def _check_tables(self) -> None:
        tables = inspect(self.engine)
        names = tables.get_table_names()
        for table in Row.metadata.sorted_tables:
            found = {column["name"] for column in tables.get_columns(table.name)} if table.name in names else set()
            if missing := [column.name for column in table.columns if column.name not in found]:
                raise StudyError(f"{self.name} is damaged: table {table.name} lacks {', '.join(missing)}; restore it.")

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = self._reason(error)
            raise StudyError(
                f"{self.name} cannot be opened ({reason}); make sure that it is undamaged and within reach, or choose "
                "another folder."
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Says in words what kept rows from being stored."""
        try:
            yield
        except (DBAPIError, OSError) as error:
            reason = self._reason(error)
            if "full" in reason.lower() or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise StudyError(
                    f"{self.name} cannot be written to: the disk is full ({reason}). What was stored before is "
                    "unharmed; make room and run the same command again to resume."
                ) from error
            if isinstance(error, DBAPIError) and not _is_about_access(error):
                raise
            raise StudyError(
                f"{self.name} cannot be written to ({reason}). What was stored before is unharmed; run the same "
                "command again to resume."
            ) from error

    def _reason(self, error: Exception) -> str:
        reason = " ".join(str(error.orig if isinstance(error, StatementError) else error).split())
        return reason if self._database is None else self._database.without_secrets(reason)


def _is_about_access(error: DBAPIError) -> bool:
    """Whether the database was out of reach, and not a row wrong."""
    return type(error).__name__ in ("OperationalError", "InterfaceError", "InternalError")
