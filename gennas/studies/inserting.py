"""Inserting rows of which some may be there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, UniqueConstraint, insert, select
from sqlalchemy.dialects import postgresql, sqlite

#: A database limits how many values a query may hold.
_CHUNK = 500


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Inserts the rows whose keys are not there yet, the first of equal ones, and returns how many that were.

    Args:
        connection: in a transaction of the caller's.
        table: whose key is its unique constraint, or its primary key where it has no column ``id``.
        rows: from column to value; all have the same columns.
    """
    key = _key(table)
    dialect = connection.dialect
    if dialect.name in ("sqlite", "postgresql") and dialect.insert_executemany_returning:
        insert_into = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        # The key is named: what breaks another rule is an error.
        skipping = insert_into(table).on_conflict_do_nothing(index_elements=key).returning(table.columns[key[0]])
        return len(connection.execute(skipping, rows).all())
    return insert_missing(connection, table, rows)


def insert_missing(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """:func:`insert_new` for any database: looks up first, as no dialect's way to skip rows is another's."""
    key = _key(table)
    new: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        new.setdefault(tuple(row[name] for name in key), row)
    columns = [table.columns[name] for name in key]
    # Archs differ and have an index; the study is the same for all.
    at = key.index("arch") if "arch" in key else len(key) - 1
    wanted = sorted({values[at] for values in new})
    for start in range(0, len(wanted), _CHUNK):
        for found in connection.execute(select(*columns).where(columns[at].in_(wanted[start : start + _CHUNK]))):
            new.pop(tuple(found), None)
    if new:
        connection.execute(insert(table), list(new.values()))
    return len(new)


def _key(table: Table) -> tuple[str, ...]:
    """The columns that make two rows the same."""
    if "id" not in table.columns:
        return tuple(column.name for column in table.primary_key)
    (unique,) = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    return tuple(column.name for column in unique.columns)
