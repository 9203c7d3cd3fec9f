"""Exporting: the evaluations of a study as one file, which replaces nothing but an earlier export."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gennas.documents import read_json
from gennas.errors import DataMissingError, InvalidInputError, StudyError
from gennas.files import write_json, write_parquet, write_text
from gennas.studies.records import Evaluation

if TYPE_CHECKING:
    import pandas as pd

#: The ending of a database that Optuna opens.
OPTUNA = ".db"
_ENDINGS = (".parquet", ".csv", ".json", OPTUNA)


def columns() -> list[str]:
    """The columns of an export: the attributes of :class:`Evaluation`."""
    return [column.name for column in Evaluation.__table__.columns if column.name != "study"]


def check_export(path: Path) -> None:
    """Finds out whether an export may be written to a path, before the work whose results it is to hold.

    Raises:
        InvalidInputError: the path has another ending.
        StudyError: something else is there.
        DataMissingError: optuna is not installed, and the path ends in ``.db``.
    """
    if path.suffix not in _ENDINGS:
        raise InvalidInputError(
            f"{path} ends in {path.suffix!r}; expected .parquet, .csv, .json or .db.", argument="export"
        )
    if path.suffix == OPTUNA:
        # Before the work, not after it.
        expect_optuna()
    if path.exists() and not _is_export(path):
        raise StudyError(
            f"{path} already exists and is not an export of evaluations; choose another file.", argument="export"
        )


def write_export(frame: pd.DataFrame, path: Path, study: str) -> None:
    """Writes evaluations atomically.

    Args:
        frame: with :func:`columns`.
        path: ending in ``.parquet``, ``.csv`` or ``.json`` (one object per evaluation).
        study: where they are from.

    Raises:
        InvalidInputError, StudyError: see :func:`check_export`.
        OSError: the file cannot be written.
    """
    check_export(path)
    if path.suffix == ".parquet":
        write_parquet(frame, path, {"study": study})
    elif path.suffix == ".csv":
        write_text(path, frame.to_csv(index=False))
    else:
        # Python's shortest digits give every value back exactly; those of pandas do not.
        write_json(path, frame.to_dict("records"))


def expect_optuna() -> None:
    """Finds out whether optuna is installed.

    Raises:
        DataMissingError: it is not.
    """
    if find_spec("optuna") is None:
        raise DataMissingError("studies of Optuna need optuna; install it: pip install 'gennas[bench]'")


def _is_export(path: Path) -> bool:
    if path.is_file() and not path.stat().st_size:
        return True
    if path.suffix == OPTUNA:
        from gennas.studies.optuna_export import is_optuna_export

        return is_optuna_export(path)
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_schema(path).names) == columns()
        if path.suffix == ".csv":
            with path.open(encoding="utf-8") as file:
                return file.readline(10_000).rstrip("\r\n") == ",".join(columns())
        rows = read_json(path)
        return isinstance(rows, list) and all(isinstance(row, dict) and list(row) == columns() for row in rows)
    except (OSError, ValueError):
        # Errors of pyarrow are of both kinds.
        return False
