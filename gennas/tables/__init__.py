"""Tabular benchmarks: true metric values of the archs of a space, measured once, looked up ever after."""

from collections.abc import Callable

from gennas.errors import GennasError, InvalidInputError
from gennas.registry import Registry
from gennas.spaces import Space
from gennas.tables.base import Table
from gennas.tables.user import is_table_file, read_table
from gennas.user_files import failure_of

#: Tables, or functions that read one.
TABLES: Registry[Table | Callable[[], Table]] = Registry(
    "table",
    {
        "darts": "gennas.tables.darts:load",
        "fbnet": "gennas.tables.fbnet:load",
        "lite0": "gennas.tables.lite:lite0",
        "lite1": "gennas.tables.lite:lite1",
        "lite2": "gennas.tables.lite:lite2",
        "mobilenet_v3": "gennas.tables.mobilenet_v3:load",
        "nasbench101": "gennas.tables.nasbench101:load",
        "nasbench201": "gennas.tables.nasbench201:load",
        "nasbench_graph": "gennas.tables.nasbench_graph:load",
        "transnas_micro": "gennas.tables.transnas_micro:load",
    },
    group="gennas.tables",
    expected="a gennas.Table, or a function that reads one",
    accepts=lambda entry: isinstance(entry, Table) or (callable(entry) and not isinstance(entry, type)),
    how="`table` path/to/rows.csv, or path/to/file.py:my_table (in Python: TABLES.register)",
)


def load_table(name: str = "nasbench201", space: Space | None = None) -> Table:
    """Reads and checks a table: what is shipped, joined with what lies in the folder ``GENNAS_DATA``; or the user's.

    Args:
        name: a registered name (``TABLES.list()``); a CSV or Parquet file, see :class:`gennas.tables.user.TableFile`;
            or ``"path/to/file.py:table"`` or ``"package.module:table"`` for one of your own: a :class:`Table`, or a
            function that reads it.
        space: of the archs; by default that of the table, or of a file the one whose notation its keys are written in.

    Raises:
        UnknownNameError: no such table; the nearest name is suggested.
        DataMissingError: a shipped file is not there.
        InvalidInputError: a file is not what it should be, or a table is of another space.
    """
    if is_table_file(name):
        return read_table(name, space)
    entry = TABLES.get(name)
    try:
        table = entry if isinstance(entry, Table) else entry()
    except GennasError:
        raise
    except Exception as error:
        # Whatever the user's own function raises.
        raise InvalidInputError(
            f"table {name!r} fails: {failure_of(error)}; expected a function that reads it."
        ) from error
    if not isinstance(table, Table):
        raise InvalidInputError(f"table {name!r} gave {table!r}; expected a gennas.Table.")
    if space is not None and table.space != space.name:
        raise InvalidInputError(
            f"table {name!r} is of space {table.space!r}, not {space.name!r}; give `space` {table.space}."
        )
    return table


__all__ = ["TABLES", "Table", "is_table_file", "load_table", "read_table"]
