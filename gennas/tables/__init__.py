"""Tabular benchmarks: true metric values of the archs of a space, measured once, looked up ever after."""

from collections.abc import Callable

from gennas.registry import Registry
from gennas.tables.base import Table

TABLES: Registry[Callable[[], Table]] = Registry(
    "table",
    {
        "nasbench101": "gennas.tables.nasbench101:load",
        "nasbench201": "gennas.tables.nasbench201:load",
        "nasbench_graph": "gennas.tables.nasbench_graph:load",
    },
)


def load_table(name: str = "nasbench201") -> Table:
    """Reads and checks a table: what is shipped, joined with what lies in the folder ``GENNAS_DATA``.

    Args:
        name: a registered name (``TABLES.list()``), or ``"package.module:function"`` for a table of your own.

    Raises:
        UnknownNameError: no such table; the nearest name is suggested.
        DataMissingError: a shipped file is not there.
        InvalidInputError: a file is not what it should be.
    """
    return TABLES.get(name)()


__all__ = ["TABLES", "Table", "load_table"]
