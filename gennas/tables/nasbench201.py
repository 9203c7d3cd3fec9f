"""The NAS-Bench-201 table: accuracies after 200 epochs, and latencies, of all 15,625 cells.

Shipped in ``datasets/nasbench201``: test accuracies, and latencies of some cells on one CPU. Validation accuracies
(``nasbench201.parquet``) and latencies on 18 devices (``nasbench201_latency_ms.parquet``) cannot be redistributed;
they are read from the folder ``GENNAS_DATA`` if it has them.
"""

import os
from pathlib import Path

import pandas as pd

from gennas.errors import InvalidInputError
from gennas.paths import shipped
from gennas.tables.base import Table, how_to_get, read_columns

ROWS = 15_625
#: No cell takes longer on any device; larger values are not in milliseconds.
LONGEST_MS = 100_000.0
#: Task -> its short name in the columns of nasbench201.parquet.
TASKS = {"cifar10": "c10", "cifar100": "c100", "imagenet16-120": "in16"}
#: The devices of nasbench201_latency_ms.parquet (HELP, Lee et al., NeurIPS 2021); a number is the batch size.
DEVICES = (
    *("1080ti_1", "1080ti_32", "2080ti_256", "2080ti_32", "eyeriss", "gold_6226", "pixel3", "raspi4"),
    *("samsung_a50", "silver_4114", "silver_4210r", "titan_rtx_1", "titan_rtx_32", "titanx_1", "titanx_256"),
    *("titanx_32", "titanxp_1", "titanxp_256"),
)


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    folder = shipped("datasets") / "nasbench201"
    tests = {f"test_accuracy@{task}": f"test_accuracy@{task}" for task in TASKS}
    parts = [_read(folder / "table.parquet", "key", tests, largest=1)]
    keys = parts[0].index
    missing: dict[str, str] = {}

    valid = {f"accuracy@{task}": f"valid200_{short}" for task, short in TASKS.items()}
    latency = {f"latency_ms@{device}": device for device in DEVICES}
    for name, columns, largest in (
        ("nasbench201.parquet", valid, 100.0),
        ("nasbench201_latency_ms.parquet", latency, LONGEST_MS),
    ):
        path = Path(os.environ.get("GENNAS_DATA", "")) / name
        if not os.environ.get("GENNAS_DATA") or not path.is_file():
            missing |= dict.fromkeys(columns, how_to_get(name))
            continue
        part = _read(path, "arch_str", columns, largest)
        if invalid := set(part.index) - set(keys):
            raise InvalidInputError(
                f"{path}: {min(invalid)!r} is not a valid NAS-Bench-201 cell; download the file again."
            )
        parts.append(part / 100 if name == "nasbench201.parquet" else part)

    cpu = _read(folder / "latency_cpu.parquet", "key", {"latency_ms@cpu": "latency_ms"}, float("inf"), rows=None)
    frame = pd.concat([part.reindex(keys) for part in (*parts, cpu)], axis="columns")
    order = [metric for metric in (*valid, *tests, *latency, "latency_ms@cpu") if metric in frame]
    return Table("nasbench201", "nasbench201", frame[order], missing, latency_input_shape=(3, 32, 32))


def _read(path: Path, key: str, columns: dict[str, str], largest: float, rows: int | None = ROWS) -> pd.DataFrame:
    """Columns of a Parquet file, renamed and validated.

    Args:
        path: the file.
        key: the column of arch keys.
        columns: metric name -> column of the file.
        largest: the largest valid value; values must also be finite and not negative.
        rows: the expected number of rows; None for any number.
    """
    frame = read_columns(path, [key, *columns.values()])
    frame = frame.set_index(key).rename(columns={column: metric for metric, column in columns.items()})
    if rows is not None and len(frame) != rows:
        raise InvalidInputError(f"{path} has {len(frame)} rows; expected {rows}; download the file again.")
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise InvalidInputError(f"{path} contains the arch {twice!r} twice; download the file again.")
    for metric, column in columns.items():
        values = frame[metric].astype(float)
        wrong = values[~values.between(0, largest)]
        if len(wrong):
            raise InvalidInputError(
                f"{path}: {column} of {wrong.index[0]!r} is {wrong.iloc[0]}; expected 0 to {largest:g}; "
                "download the file again."
            )
        frame[metric] = values
    return frame
