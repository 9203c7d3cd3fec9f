"""Formats: how studies of earlier versions of gennas become studies of this one.

Format 1 is that of gennas 0.2: settings without a number, one study per database, whose rows do not name it.
Format 2 numbers the settings, has one kind of them for searches and validations, and its rows name their study.
Format 3 adds what was predicted of proposals, and the sessions: who opened a study, with which versions.
Format 4 tells by the names of latencies how they are measured, see :mod:`gennas.studies.latency_names`.

To make format 5: raise :data:`FORMAT`, and add one function to each of :data:`SETTINGS` and :data:`TABLES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select
from sqlalchemy.pool import StaticPool

from gennas.errors import StudyError
from gennas.studies.latency_names import renamed_rows, renamed_settings
from gennas.studies.records import Evaluation, FormatRecord, Row, StudyRecord, defect_of

#: Names of tables -> their rows, from column to value.
Tables = dict[str, list[dict[str, Any]]]

FORMAT = 4
#: All tables that gennas has made in some format.
_TABLES = ("format", "studies", "writers", "owner", "evaluations", "failures", "proposals", "predictions", "sessions")


def upgraded_settings(stored: Mapping[str, Any], number: int, name: str) -> dict[str, Any]:
    """Settings of any format as settings of this one.

    Args:
        stored: the settings.
        number: of their format.
        name: of what holds them, for the message.

    Raises:
        StudyError: they are of a newer gennas.
    """
    _refuse_newer(number, name)
    settings = dict(stored)
    for step in range(number, FORMAT):
        settings = SETTINGS[step](settings)
    return settings


def format_of(connection: Connection, name: str) -> int | None:
    """The format of a database; None where it holds no study.

    Args:
        connection: to the database.
        name: of the database, for the message.

    Raises:
        StudyError: it is of a newer gennas.
    """
    # Not has_table: a view with a table's name may have rows without end.
    tables = set(inspect(connection).get_table_names())
    if FormatRecord.__tablename__ in tables:
        number = connection.execute(select(FormatRecord.number)).scalar()
        if number is None:
            return None
        _refuse_newer(number, name)
        return int(number)
    return 1 if Evaluation.__tablename__ in tables else None


def upgrade_tables(connection: Connection, number: int, study: str, name: str) -> None:
    """Brings a database to this format, within the transaction of the caller.

    Args:
        connection: to the database.
        number: of its format.
        study: name of the study that a database of format 1 holds, where it does not say that itself.
        name: of the database, for messages.

    Raises:
        StudyError: a table is damaged, or the database cannot change tables in a transaction.
    """
    if connection.dialect.name not in ("sqlite", "postgresql"):
        raise StudyError(
            f"the study in {name} is of an older gennas and cannot be upgraded there; finish it with that version."
        )
    old = _read(connection, name)
    new = _upgraded(old, number, study)
    _check(new, name)
    for table in old:
        connection.exec_driver_sql(f"drop table {table}")
    _write(connection, new)


def upgraded_copy(engine: Engine, number: int, study: str, name: str) -> Engine:
    """What a database of an older format holds, upgraded in memory: whoever reads it does not change it.

    Args:
        engine: of the database.
        number: of its format.
        study: as of :func:`upgrade_tables`.
        name: of the database, for messages.

    Raises:
        StudyError: a table is damaged.
    """
    with engine.connect() as connection:
        new = _upgraded(_read(connection, name), number, study)
    _check(new, name)
    copy = create_engine("sqlite://", poolclass=StaticPool)
    with copy.begin() as connection:
        _write(connection, new)
    return copy


def validations_as_searches(settings: dict[str, Any]) -> dict[str, Any]:
    """1 -> 2: a validation is a search over archs that were given; images have a checksum, no path."""
    if isinstance(task := settings.get("task"), dict):
        settings = {**settings, "task": {key: value for key, value in task.items() if key != "path"}}
    if "objective" in settings or not {"task", "recipe", "latency"} <= set(settings):
        return settings
    name, seed, runtime = (
        value.get(key) if isinstance(value, dict) else None
        for value, key in (
            (settings["task"], "name"),
            (settings["recipe"], "seed"),
            (settings["latency"], "runtime"),
        )
    )
    return {
        **{key: settings[key] for key in settings if key not in ("recipe", "latency")},
        "objective": f"accuracy@{name}, -latency_ms@{'cuda' if runtime == 'cuda' else 'cpu'}",
        "where": [],
        "method": "given",
        "options": {},
        "prior": "none",
        "table": None,
        "recipe": settings["recipe"],
        "latency": settings["latency"],
        "batch": 1,
        "several": False,
        "seed": seed,
        "checkpoint": None,
        "predicted": None,
    }


def name_studies(tables: Tables, study: str) -> Tables:
    """1 -> 2: rows name their study, the database lists it, and columns of proposals have their present names."""
    owner = tables.get("owner", [])
    study = owner[0]["study"] if owner else study
    renamed = {"origin": "proposed_by", "worth": "acquisition_value"}
    named = {
        table: [{"study": study, **{renamed.get(name, name): value for name, value in row.items()}} for row in rows]
        for table, rows in tables.items()
        if table != "owner"
    }
    record = StudyRecord(name=study, settings="")
    return {
        **named,
        "studies": [{"name": record.name, "settings": record.settings, "created": record.created}],
        "format": [{"id": 0, "number": 2}],
    }


def same_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """2 -> 3: only tables differ."""
    return settings


def without_predictions(tables: Tables, study: str) -> Tables:
    """2 -> 3: nobody remembers what was predicted, nor who opened a study."""
    return {**tables, "predictions": [], "sessions": [], "format": [{"id": 0, "number": 3}]}


def name_latencies(tables: Tables, study: str) -> Tables:
    """3 -> 4: the rows of each study that say how latency was measured by its settings."""
    for record in tables.get("studies", []):
        tables = renamed_rows(tables, record.get("settings") or "", record["name"])
    return {**tables, "format": [{"id": 0, "number": 4}]}


def _upgraded(tables: Tables, number: int, study: str) -> Tables:
    for step in range(number, FORMAT):
        tables = TABLES[step](tables, study)
    return tables


def _read(connection: Connection, name: str) -> Tables:
    there = set(inspect(connection).get_table_names())
    tables: Tables = {}
    for table in _TABLES:
        if table in there:
            _check_columns(connection, table, name)
            rows = [dict(row) for row in connection.exec_driver_sql(f"select * from {table}").mappings()]
            tables[table] = sorted(rows, key=_number)
    return tables


def _check_columns(connection: Connection, table: str, name: str) -> None:
    """Refuses a table of evaluations without rows that shows only by its columns that it is none of ours."""
    if table == Evaluation.__tablename__:
        found = {column["name"] for column in inspect(connection).get_columns(table)}
        if missing := [one.name for one in Evaluation.__table__.columns if one.name not in {*found, "study"}]:
            raise StudyError(f"{name} is damaged: table {table} lacks {', '.join(missing)}; restore it.")


def _number(row: Mapping[str, Any]) -> int:
    number = row.get("id", row.get("number"))
    return number if isinstance(number, int) else 0


def _check(tables: Tables, name: str) -> None:
    for table in Row.metadata.sorted_tables:
        for row in tables.get(table.name, []):
            if defect := defect_of(table, row):
                raise StudyError(f"{name} is damaged: {defect}; restore it, or choose another folder.")


def _write(connection: Connection, tables: Tables) -> None:
    Row.metadata.create_all(connection)
    for table in Row.metadata.sorted_tables:
        # Numbers that the database gives are given anew: those of PostgreSQL would begin at 1 again otherwise.
        names = [column.name for column in table.columns if column is not table.autoincrement_column]
        if rows := tables.get(table.name):
            connection.execute(insert(table), [{name: row[name] for name in names} for row in rows])


def _refuse_newer(number: int, name: str) -> None:
    if number > FORMAT:
        raise StudyError(
            f"{name} is of a newer gennas: its format is {number}, and this version reads formats up to {FORMAT}. "
            "Upgrade gennas: pip install --upgrade gennas"
        )


#: Format -> what makes settings of it settings of the next one.
SETTINGS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: validations_as_searches,
    2: same_settings,
    3: renamed_settings,
}
#: Format -> what makes tables of it tables of the next one.
TABLES: dict[int, Callable[[Tables, str], Tables]] = {1: name_studies, 2: without_predictions, 3: name_latencies}
