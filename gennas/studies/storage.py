"""Store: rows in a database of any kind that SQLAlchemy knows, added whole or not at all, and never twice."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import groupby
from typing import Any, TypeVar, cast

from sqlalchemy import Table, UniqueConstraint, create_engine, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from gennas.errors import InvalidInputError, StudyError
from gennas.studies.records import Row

Kind = TypeVar("Kind", bound=Row)

#: A database limits how many values a query may hold.
_CHUNK = 500
IN_MEMORY = "sqlite://"


class Store:
    """Rows in a database.

    There is one writer: what guards it (the lock of a study's folder) is the caller's.

    Args:
        url: of SQLAlchemy, e.g. ``sqlite:////home/me/study.sqlite`` or ``postgresql+psycopg://me@host/runs``.
        name: of the database in messages; the URL without its password where it is not given.

    Raises:
        InvalidInputError: no URL, or one whose driver is not installed.
        StudyError: the database is damaged or out of reach.
    """

    def __init__(self, url: str, name: str = "") -> None:
        try:
            parsed = make_url(url)
            # One connection is one database in memory.
            self.engine = create_engine(parsed, poolclass=StaticPool) if url == IN_MEMORY else create_engine(parsed)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise InvalidInputError(
                f"database {url.partition(':')[0]}:... cannot be used: {error}; expected a URL of SQLAlchemy whose "
                "driver is installed, e.g. postgresql+psycopg://user@host/name."
            ) from error
        self.name = name or parsed.render_as_string(hide_password=True)
        with self._opening():
            inspect(self.engine).get_table_names()

    def create(self) -> None:
        """Makes the tables that are not there, before anything is added.

        Raises:
            StudyError: the database cannot be written to.
        """
        with self._opening():
            Row.metadata.create_all(self.engine)

    def add(self, rows: Sequence[Row]) -> int:
        """Stores rows of any kinds in one transaction, and returns how many were new; the others stay as they are.

        Raises:
            StudyError: the disk is full, or the database is out of reach.
        """
        added = 0
        with _told(self.name), Session(self.engine) as session, session.begin():
            for kind, group in groupby(sorted(rows, key=lambda row: type(row).__name__), type):
                added += _add(session, kind, list(group))
        return added

    def find(self, kind: type[Kind], **wanted: str | int | None) -> list[Kind]:
        """The rows of a kind with these values, in the order in which they were added; None stands for any."""
        if not inspect(self.engine).has_table(kind.__tablename__):
            # Of a study that an older gennas made: whoever reads it does not change it.
            return []
        query = select(kind).order_by(*inspect(kind).primary_key)
        query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
        with Session(self.engine) as session:
            return list(session.scalars(query))

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise StudyError(
                f"{self.name} cannot be opened ({reason}); restore it, or choose another --out."
            ) from error

    def close(self) -> None:
        """Ends all connections."""
        self.engine.dispose()


def _add(session: Session, kind: type[Row], rows: list[Row]) -> int:
    """Adds rows of one kind whose keys are not there yet: looked up first, as no dialect's way to skip is another's."""
    key = _key(cast(Table, kind.__table__))
    new = {tuple(getattr(row, name) for name in key): row for row in reversed(rows)}  # of equal ones the first stays
    columns = [getattr(kind, name) for name in key]
    first = sorted({values[0] for values in new})
    for start in range(0, len(first), _CHUNK):
        for found in session.execute(select(*columns).where(columns[0].in_(first[start : start + _CHUNK]))):
            new.pop(tuple(found), None)
    names = [field.name for field in fields(cast(Any, kind)) if field.init]
    if new:
        documents = [{name: getattr(row, name) for name in names} for row in reversed(new.values())]
        session.execute(insert(kind), documents)
    return len(new)


def _key(table: Table) -> tuple[str, ...]:
    """The columns that make two rows the same; the arch first, by which an index finds them."""
    unique = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    columns = next((constraint.columns for constraint in unique if len(constraint.columns) > 1), table.primary_key)
    return tuple(column.name for column in columns)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Says in words what kept rows from being stored."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        reason = str(error.orig if isinstance(error, DBAPIError) else error)
        full = "full" in reason.lower() or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full:
            raise StudyError(
                f"{name} cannot be written: the disk is full ({reason}). What was stored so far is whole; make room "
                "and repeat the command, it goes on where it stopped."
            ) from error
        if isinstance(error, DBAPIError) and not _is_about_access(error):
            raise
        raise StudyError(
            f"{name} cannot be written ({reason}). What was stored so far is whole; mend it and repeat the command, "
            "it goes on where it stopped."
        ) from error


def _is_about_access(error: DBAPIError) -> bool:
    """Whether the database was out of reach, and not a row wrong."""
    return type(error).__name__ in ("OperationalError", "InterfaceError", "InternalError")
