"""The NAS-Bench-101 table: accuracies of all 423,624 cells on CIFAR-10 after 108 epochs, from one training each.

None of it is shipped. It is read from the folder ``GENNAS_DATA``: the cells and their test accuracies
(``nasbench101.npz``), and the validation accuracies of 30,001 of them (``nasbench101_valid_30001.parquet``).
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from gennas.errors import InvalidInputError
from gennas.spaces.nasbench101.isomorphism import ABSENT, INNER, SLOTS, all_codes, canonical_codes, codes_of
from gennas.spaces.nasbench101.space import NasBench101
from gennas.tables.base import Table, data_file, how_to_get, read_columns, unreadable

CELLS, VALIDATED = "nasbench101.npz", "nasbench101_valid_30001.parquet"
ACCURACY, TEST_ACCURACY = "accuracy@cifar10", "test_accuracy@cifar10"
ROWS, VALIDATED_ROWS = 423_624, 30_001
#: Images that the benchmark tested on: as many of the 10,000 as fill whole batches.
TEST_IMAGES = 9_984


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    paths = {name: path for name in (CELLS, VALIDATED) if (path := data_file(name)) is not None}
    missing = {}
    if CELLS not in paths:
        missing = dict.fromkeys((ACCURACY, TEST_ACCURACY), how_to_get(CELLS))
    elif VALIDATED not in paths:
        missing = {ACCURACY: how_to_get(VALIDATED)}
    columns = {}
    keys: list[str] = []
    if CELLS in paths:
        indices, columns[TEST_ACCURACY] = _read_cells(paths[CELLS])
        if VALIDATED in paths:
            columns[ACCURACY] = _read_validated(paths[VALIDATED], indices)
        keys = [arch.key for arch in NasBench101().enumerate()]
    order = [metric for metric in (ACCURACY, TEST_ACCURACY) if metric in columns]
    frame = pd.DataFrame(columns, index=pd.Index(keys, dtype=object, name="key"), columns=order, dtype=float)
    return Table("nasbench101", "nasbench101", frame, missing, latency_input_shape=(3, 32, 32))


def cells_of(vertices: np.ndarray, bits: np.ndarray, ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decodes cells of the file to ``(b, 5)`` labels and ``(b, 7, 7)`` boolean edges between slots.

    Args:
        vertices: ``(b,)`` number of vertices, 2 to 7.
        bits: ``(b,)`` one bit per pair of vertices, lowest first; pairs are ordered by target, then by source.
        ops: ``(b,)`` two bits per inner vertex, lowest first.
    """
    vertices, bits, ops = (part.astype(np.int64) for part in (vertices, bits, ops))
    inner = np.arange(INNER)
    labels = np.where(inner < vertices[:, None] - 2, ops[:, None] >> 2 * inner & 3, ABSENT)
    edges = np.zeros((len(bits), SLOTS, SLOTS), dtype=bool)
    bit = 0
    for j in range(SLOTS):
        target = np.where(vertices - 1 == j, SLOTS - 1, j)
        for i in range(j):
            present = np.flatnonzero(bits >> bit & 1)
            edges[present, i, target[present]] = True
            bit += 1
    return labels, edges


def _read_cells(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """For each row of the file its index in the space's enumeration; test accuracies in the enumeration's order."""
    try:
        with np.load(path) as file:
            vertices, bits, ops, correct = (file[name] for name in ("n", "bits", "ops", "test_k"))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise unreadable(path, error) from error
    shapes = {part.shape for part in (vertices, bits, ops, correct)}
    if shapes != {(ROWS,)}:
        raise InvalidInputError(
            f"{path} has columns of shapes {sorted(shapes)}; expected {ROWS} rows; download it again."
        )
    codes, valid_codes = canonical_codes(codes_of(*cells_of(vertices, bits, ops))), all_codes()
    indices = np.minimum(np.searchsorted(valid_codes, codes), ROWS - 1)
    if len(invalid := np.flatnonzero((valid_codes[indices] != codes) | (vertices > SLOTS))):
        raise InvalidInputError(f"{path}: row {invalid[0]} is not a valid NAS-Bench-101 cell; download the file again.")
    if len(np.unique(indices)) != ROWS:
        raise InvalidInputError(f"{path} contains a cell twice; download the file again.")
    if correct.max() > TEST_IMAGES:
        raise InvalidInputError(
            f"{path}: test_k of row {correct.argmax()} is {correct.max()}; expected at most {TEST_IMAGES}; "
            "download the file again."
        )
    accuracy = np.empty(ROWS)
    accuracy[indices] = correct / TEST_IMAGES
    return indices, accuracy


def _read_validated(path: Path, indices: np.ndarray) -> np.ndarray:
    """Validation accuracies in the enumeration's order; NaN where there is none."""
    frame = read_columns(path, ["row", "valid108"])
    rows, values = frame["row"].to_numpy(), frame["valid108"].to_numpy(dtype=float)
    distinct = np.unique(rows)
    if len(rows) != VALIDATED_ROWS or len(distinct) != VALIDATED_ROWS:
        raise InvalidInputError(
            f"{path} has {len(rows)} rows, {len(distinct)} of them distinct; expected {VALIDATED_ROWS}; "
            "download the file again."
        )
    if distinct[0] < 0 or distinct[-1] >= ROWS:
        raise InvalidInputError(
            f"{path}: row is {distinct[0]} to {distinct[-1]}; expected 0 to {ROWS - 1}; download the file again."
        )
    if len(wrong := np.flatnonzero(~((values >= 0) & (values <= 1)))):
        raise InvalidInputError(
            f"{path}: valid108 of row {rows[wrong[0]]} is {values[wrong[0]]}; expected 0 to 1; download the file again."
        )
    accuracy = np.full(ROWS, np.nan)
    accuracy[indices[rows]] = values
    return accuracy
