"""Tabular benchmarks: true metric values of the archs of a space, measured once, looked up ever after."""

from collections.abc import Callable

from gennas.errors import InvalidInputError
from gennas.registry import Registry
from gennas.tables.base import Table

#: Tables, or functions that read one.
TABLES: Registry[Table | Callable[[], Table]] = Registry(
    "table",
    {
        "nasbench101": "gennas.tables.nasbench101:load",
        "nasbench201": "gennas.tables.nasbench201:load",
        "nasbench_graph": "gennas.tables.nasbench_graph:load",
    },
    group="gennas.tables",
    expected="a gennas.Table, or a function that reads one",
    accepts=lambda entry: isinstance(entry, Table) or (callable(entry) and not isinstance(entry, type)),
    how="`table` path/to/file.py:my_table (in Python: TABLES.register)",
)


def load_table(name: str = "nasbench201") -> Table:
    """Reads and checks a table: what is shipped, joined with what lies in the folder ``GENNAS_DATA``.

    Args:
        name: a registered name (``TABLES.list()``), or ``"path/to/file.py:table"`` or ``"package.module:table"`` for
            one of your own: a :class:`Table`, or a function that reads it.

    Raises:
        UnknownNameError: no such table; the nearest name is suggested.
        DataMissingError: a shipped file is not there.
        InvalidInputError: a file is not what it should be.
    """
    entry = TABLES.get(name)
    table = entry if isinstance(entry, Table) else entry()
    if not isinstance(table, Table):
        raise InvalidInputError(f"table {name!r} gave {table!r}; expected a gennas.Table.")
    return table


__all__ = ["TABLES", "Table", "load_table"]
