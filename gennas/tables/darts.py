"""The table of DARTS: accuracies on CIFAR-10 of 725 archs, as the surrogate of NAS-Bench-301 predicts them.

None of these archs was trained: a model of 60,000 others that were (8 cells, 32 channels, 100 epochs; Zela, Siems,
Zimmer, Lukasik, Keuper and Hutter, "Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS
Benchmarks", ICLR 2022) says their validation accuracies, as published with NAS-Bench-Suite-Zero (Krishnakumar et al.,
NeurIPS 2022; Apache-2.0). It is read from ``nb301.parquet`` in the folder ``GENNAS_DATA``.
"""

from pathlib import Path

import pandas as pd

from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces.darts.space import Darts
from gennas.tables.base import Table, data_file, how_to_get, read_columns

FILE, ACCURACY, ROWS = "nb301.parquet", "accuracy@cifar10", 725


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    if (path := data_file(FILE)) is not None:
        return _table(_read(path), {})
    empty = pd.DataFrame(index=pd.Index([], dtype=object, name="key"), dtype=float)
    return _table(empty, {ACCURACY: how_to_get(FILE)})


def _table(frame: pd.DataFrame, missing: dict[str, str]) -> Table:
    return Table("darts", "darts", frame, missing, latency_input_shape=(3, 32, 32))


def _read(path: Path) -> pd.DataFrame:
    file = read_columns(path, ["arch", "val_accuracy"])
    if len(file) != ROWS:
        raise InvalidInputError(f"{path} has {len(file)} rows; expected {ROWS}; download the file again.")
    space, keys = Darts(), []
    for row, text in enumerate(file["arch"]):
        try:
            keys.append(space.parse(str(text)).key)
        except InvalidArchError as error:
            raise InvalidInputError(f"{path}: row {row}: {error} Download the file again.") from error
    values = file["val_accuracy"].to_numpy(float)
    for row, value in enumerate(values):
        if not 0 <= value <= 100:
            raise InvalidInputError(
                f"{path}: val_accuracy of row {row} is {value}; expected 0 to 100; download the file again."
            )
    index = pd.Index(keys, dtype=object, name="key")
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise InvalidInputError(f"{path} contains the arch {twice!r} twice; download the file again.")
    return pd.DataFrame({ACCURACY: values / 100}, index=index)
