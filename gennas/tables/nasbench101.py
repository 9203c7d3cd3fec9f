"""The NAS-Bench-101 table: accuracies of all 423,624 cells on CIFAR-10 after 108 epochs, trained once.

Nothing of it is shipped; it is read from the folder ``GENNAS_DATA``: the cells and their test accuracies
(``nasbench101.npz``), and the validation accuracies of 30,001 of them (``nasbench101_valid_30001.parquet``).
"""

import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from gennas.errors import InvalidInputError
from gennas.spaces.nasbench101.isomorphism import ABSENT, INNER, SLOTS, all_codes, canonical_codes, codes_of
from gennas.spaces.nasbench101.space import NasBench101
from gennas.tables.base import Table, how_to_get

CELLS, VALIDATED = "nasbench101.npz", "nasbench101_valid_30001.parquet"
ACCURACY, TEST_ACCURACY = "accuracy@cifar10", "test_accuracy@cifar10"
ROWS, VALIDATED_ROWS = 423_624, 30_001
#: Images that the benchmark tested on: what of 10,000 fills its batches.
TEST_IMAGES = 9_984


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    here = {name: path for name in (CELLS, VALIDATED) if (path := _path(name)) is not None}
    missing = {}
    if CELLS not in here:
        missing = dict.fromkeys((ACCURACY, TEST_ACCURACY), how_to_get(CELLS))
    elif VALIDATED not in here:
        missing = {ACCURACY: how_to_get(VALIDATED)}
    columns = {}
    keys: list[str] = []
    if CELLS in here:
        place, columns[TEST_ACCURACY] = _read_cells(here[CELLS])
        if VALIDATED in here:
            columns[ACCURACY] = _read_validated(here[VALIDATED], place)
        keys = [arch.key for arch in NasBench101().enumerate()]
    order = [metric for metric in (ACCURACY, TEST_ACCURACY) if metric in columns]
    frame = pd.DataFrame(columns, index=pd.Index(keys, dtype=object, name="key"), columns=order, dtype=float)
    return Table("nasbench101", "nasbench101", frame, missing, latency_input_shape=(3, 32, 32))


def cells_of(vertices: np.ndarray, bits: np.ndarray, ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ``(b, 5)`` labels and ``(b, 7, 7)`` boolean edges between slots of cells as the file holds them.

    Args:
        vertices: ``(b,)`` their number, 2 to 7.
        bits: ``(b,)`` one bit per pair of vertices, the pairs ordered by target and then by source.
        ops: ``(b,)`` two bits per inner vertex, the first one lowest.
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
    """For every row of the file its place in the enumeration; the test accuracies in the order of the latter."""
    try:
        with np.load(path) as file:
            vertices, bits, ops, right = (file[name] for name in ("n", "bits", "ops", "test_k"))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise _unreadable(path, error) from error
    shapes = {part.shape for part in (vertices, bits, ops, right)}
    if shapes != {(ROWS,)}:
        raise InvalidInputError(f"{path} has columns of shapes {sorted(shapes)}, expected {ROWS} rows; fetch it again.")
    codes, known = canonical_codes(codes_of(*cells_of(vertices, bits, ops))), all_codes()
    place = np.minimum(np.searchsorted(known, codes), ROWS - 1)
    if len(strange := np.flatnonzero((known[place] != codes) | (vertices > SLOTS))):
        raise InvalidInputError(f"{path}: row {strange[0]} is no NAS-Bench-101 cell; fetch the file again.")
    if len(np.unique(place)) != ROWS:
        raise InvalidInputError(f"{path} has a cell twice; fetch the file again.")
    if right.max() > TEST_IMAGES:
        raise InvalidInputError(
            f"{path}: test_k of row {right.argmax()} is {right.max()}, expected at most {TEST_IMAGES}; "
            "fetch the file again."
        )
    accuracy = np.empty(ROWS)
    accuracy[place] = right / TEST_IMAGES
    return place, accuracy


def _read_validated(path: Path, place: np.ndarray) -> np.ndarray:
    """The validation accuracies in the order of the enumeration, NaN where there is none."""
    try:
        frame = pd.read_parquet(path, columns=["row", "valid108"])
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    rows, values = frame["row"].to_numpy(), frame["valid108"].to_numpy(dtype=float)
    distinct = np.unique(rows)
    if len(rows) != VALIDATED_ROWS or len(distinct) != VALIDATED_ROWS:
        raise InvalidInputError(
            f"{path} has {len(rows)} rows, {len(distinct)} of them different, expected {VALIDATED_ROWS}; "
            "fetch the file again."
        )
    if distinct[0] < 0 or distinct[-1] >= ROWS:
        raise InvalidInputError(
            f"{path}: row goes from {distinct[0]} to {distinct[-1]}, expected 0 to {ROWS - 1}; fetch the file again."
        )
    if len(wrong := np.flatnonzero(~((values >= 0) & (values <= 1)))):
        raise InvalidInputError(
            f"{path}: valid108 of row {rows[wrong[0]]} is {values[wrong[0]]}, expected 0 to 1; fetch the file again."
        )
    accuracy = np.full(ROWS, np.nan)
    accuracy[place[rows]] = values
    return accuracy


def _path(name: str) -> Path | None:
    """Where a file lies in the folder ``GENNAS_DATA``; None where it does not."""
    folder = os.environ.get("GENNAS_DATA")
    path = Path(folder, name) if folder else None
    return path if path is not None and path.is_file() else None


def _unreadable(path: Path, error: Exception) -> InvalidInputError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return InvalidInputError(f"{path} cannot be read: {reason}; fetch the file again.")
