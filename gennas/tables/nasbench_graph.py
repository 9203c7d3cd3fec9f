"""The NAS-Bench-Graph table: accuracies and latencies of all 26,206 archs on nine data sets.

All of it is shipped in ``datasets/nasbench_graph``. On ``proteins`` the benchmark measured only 2,021 archs; the others
are NaN.
"""

from gennas.errors import InvalidInputError
from gennas.paths import shipped
from gennas.tables.base import Table, read_columns, unreadable

ROWS = 26_206
#: Task -> number of archs measured on it.
TASKS = {
    **dict.fromkeys(("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv"), ROWS),
    "proteins": 2_021,
}
#: No arch takes longer for a whole graph; larger values are not in milliseconds.
LONGEST_MS = 10_000.0


def hardware(task: str) -> str:
    """Hardware name of the benchmark's GPU running a network on the whole graph of a task."""
    return f"gpu-{task}"


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    path = shipped("datasets") / "nasbench_graph" / "table.parquet"
    checks = {
        **{f"{kind}@{task}": (1.0, rows) for kind in ("accuracy", "test_accuracy") for task, rows in TASKS.items()},
        **{f"latency_ms@{hardware(task)}": (LONGEST_MS, rows) for task, rows in TASKS.items()},
    }
    try:
        frame = read_columns(path, ["key", *checks]).set_index("key").astype(float)
    except ValueError as error:
        raise unreadable(path, error) from error
    if len(frame) != ROWS:
        raise InvalidInputError(f"{path} has {len(frame)} rows; expected {ROWS}; download the file again.")
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise InvalidInputError(f"{path} contains the arch {twice!r} twice; download the file again.")
    for metric, (largest, rows) in checks.items():
        values = frame[metric].dropna()
        if len(values) != rows:
            raise InvalidInputError(f"{path} has {len(values)} values of {metric}; expected {rows}; download it again.")
        wrong = values[~values.between(0, largest)]
        if len(wrong):
            raise InvalidInputError(
                f"{path}: {metric} of {wrong.index[0]!r} is {wrong.iloc[0]}; expected 0 to {largest:g}; "
                "download the file again."
            )
    return Table("nasbench_graph", "nasbench_graph", frame, {}, latency_input_shape=())
