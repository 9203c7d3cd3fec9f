"""The table of once-for-all MobileNetV3: accuracies on ImageNet, and latencies of other archs on 4 graphics cards.

None of it is shipped. It is read from the folder ``GENNAS_DATA``: top-1 accuracies of 2,162 archs of width 100 at
resolution 224, some measured several times (``ofa_mobilenetv3_imagenet.parquet``, from DyNAS-T, Cummings et al. 2022),
and latencies of 5,000 others, at resolutions from 128 to 224 (``ofa_mobilenetv3_latency_ms.parquet``, from HELP, Lee et
al., NeurIPS 2021). No arch is in both.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces.mobilenet_v3.space import MobileNetV3
from gennas.tables.base import Table, data_file, how_to_get, read_columns

ACCURACIES, LATENCIES = "ofa_mobilenetv3_imagenet.parquet", "ofa_mobilenetv3_latency_ms.parquet"
ACCURACY = "accuracy@imagenet"
ROWS, TIMED_ROWS = 2_373, 5_000
#: Device -> its column of the latencies; a number is the batch size.
DEVICES = {
    f"{name}_{batch}": f"lat_{column}_{batch}"
    for name, column in (("2080ti", "2080ti"), ("titan_rtx", "titan_rtx"), ("titanxp", "titan_xp"), ("v100", "v100"))
    for batch in (1, 32, 64)
}
#: No arch takes longer on any device; larger values are not in milliseconds.
LONGEST_MS = 100_000.0


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    latencies = {f"latency_ms@{device}": column for device, column in DEVICES.items()}
    missing: dict[str, str] = {}
    parts: list[pd.DataFrame] = []
    noise: dict[str, float] = {}
    for name, metrics in ((ACCURACIES, [ACCURACY]), (LATENCIES, list(latencies))):
        path = data_file(name)
        if path is None:
            missing |= dict.fromkeys(metrics, how_to_get(name))
        elif name == ACCURACIES:
            part, noise[ACCURACY] = _accuracies(path)
            parts.append(part)
        else:
            parts.append(_latencies(path, latencies))
    columns = [metric for metric in (ACCURACY, *latencies) if metric not in missing]
    keys = list(dict.fromkeys(key for part in parts for key in part.index))
    frame = pd.DataFrame(index=pd.Index(keys, dtype=object, name="key"), columns=columns, dtype=float)
    for part in parts:
        frame.loc[part.index, part.columns] = part
    # Archs say how large their images are.
    return Table("mobilenet_v3", "mobilenet_v3", frame, missing, latency_input_shape=(), noise=noise)


def _accuracies(path: Path) -> tuple[pd.DataFrame, float]:
    """The mean accuracy of each arch, a fraction, and the std of one measurement."""
    file = _read(path, ["ks", "e", "d", "top1"], ROWS)
    _check(path, "top1", file["top1"], 100.0)
    groups = (file["top1"] / 100).groupby(_keys(path, file[["ks", "e", "d"]]), sort=False)
    squares, freedom = groups.var().mul(groups.count() - 1).sum(), (groups.count() - 1).sum()
    return groups.mean().rename(ACCURACY).to_frame(), float(np.sqrt(squares / max(freedom, 1)))


def _latencies(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    file = _read(path, ["ks", "e", "d", "r", *columns.values()], TIMED_ROWS)
    for column in columns.values():
        _check(path, column, file[column], LONGEST_MS)
    keys = _keys(path, file[["ks", "e", "d", "r"]])
    if twice := next((key for key, again in zip(keys, pd.Index(keys).duplicated(), strict=True) if again), None):
        raise InvalidInputError(f"{path} contains the arch {twice!r} twice; download the file again.")
    frame = file[list(columns.values())].astype(float)
    return frame.set_axis(pd.Index(keys, dtype=object), axis=0).set_axis(list(columns), axis=1)


def _read(path: Path, columns: list[str], rows: int) -> pd.DataFrame:
    file = read_columns(path, columns)
    if len(file) != rows:
        raise InvalidInputError(f"{path} has {len(file)} rows; expected {rows}; download the file again.")
    return file


def _check(path: Path, column: str, values: pd.Series, largest: float) -> None:
    wrong = values[~values.astype(float).between(0, largest)]
    if len(wrong):
        raise InvalidInputError(
            f"{path}: {column} of row {wrong.index[0]} is {wrong.iloc[0]}; expected 0 to {largest:g}; download the "
            "file again."
        )


def _keys(path: Path, lists: pd.DataFrame) -> list[str]:
    """The keys of archs that are written as lists of kernels, expansions, depths and, where it is known, resolution."""
    space = MobileNetV3()
    keys = []
    rows: Iterable[tuple[object, ...]] = lists.itertuples(index=False)
    for number, row in enumerate(rows):
        try:
            keys.append(space.parse("/".join(map(str, row))).key)
        except InvalidArchError as error:
            raise InvalidInputError(f"{path}: row {number}: {error} Download the file again.") from error
    return keys
