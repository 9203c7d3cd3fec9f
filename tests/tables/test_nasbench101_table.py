"""The NAS-Bench-101 table: what GENNAS_DATA holds, and what goes wrong."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gennas.errors import DataMissingError, InvalidInputError
from gennas.spaces.nasbench101.isomorphism import ABSENT, PAIRS, SLOTS, all_codes, decoded
from gennas.spaces.nasbench101.space import NasBench101
from gennas.tables import load_table
from gennas.tables.nasbench101 import (
    ACCURACY,
    CELLS,
    ROWS,
    TEST_ACCURACY,
    TEST_IMAGES,
    VALIDATED,
    VALIDATED_ROWS,
    cells_of,
)

Columns = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def cells() -> Columns:
    """The file of cells in another row order, its accuracies made up."""
    labels, edges = decoded(np.random.default_rng(0).permutation(all_codes()))
    vertices = (labels != ABSENT).sum(axis=1) + 2
    bits = np.zeros(ROWS, dtype=np.uint32)
    for i, j in PAIRS:
        target = vertices - 1 if j == SLOTS - 1 else j
        bits |= (edges[:, i, j].astype(np.int64) << i + target * (target - 1) // 2).astype(np.uint32)
    ops = (np.where(labels == ABSENT, 0, labels) << 2 * np.arange(5)).sum(axis=1)
    right = np.random.default_rng(1).integers(0, TEST_IMAGES + 1, ROWS).astype(np.uint16)
    return {"n": vertices.astype(np.uint8), "bits": bits, "ops": ops.astype(np.uint16), "test_k": right}


@pytest.fixture(scope="module")
def validated() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rows = rng.choice(ROWS, VALIDATED_ROWS, replace=False)
    return pd.DataFrame({"row": rows, "valid108": rng.uniform(0, 1, VALIDATED_ROWS)})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty GENNAS_DATA."""
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    return tmp_path


def test_values_belong_to_their_cells(folder: Path, cells: Columns, validated: pd.DataFrame) -> None:
    np.savez(folder / CELLS, **cells)
    validated.to_parquet(folder / VALIDATED)
    table = load_table("nasbench101")
    assert (table.name, table.space, table.latency_input_shape) == ("nasbench101", "nasbench101", (3, 32, 32))
    assert table.metrics() == (ACCURACY, TEST_ACCURACY) == ("accuracy@cifar10", "test_accuracy@cifar10")
    assert not table.missing
    space = NasBench101()
    assert list(table.frame.index) == [arch.key for arch in space.enumerate()]
    assert table.column(ACCURACY).notna().sum() == VALIDATED_ROWS
    assert table.column(TEST_ACCURACY).notna().all()
    labels, edges = cells_of(cells["n"], cells["bits"], cells["ops"])
    for row, value in validated.head(200).itertuples(index=False):
        ops = ("input", *(space.template.vocabulary[label + 1] for label in labels[row]), "output")
        arch = space.canonical(space.arch(ops, [(int(i), int(j)) for i, j in np.argwhere(edges[row])]))
        assert table.lookup(arch, ACCURACY) == value
        assert table.lookup(arch.key, TEST_ACCURACY) == cells["test_k"][row] / TEST_IMAGES
    unknown = table.frame.index[table.frame[ACCURACY].isna()][0]
    with pytest.raises(DataMissingError, match="only for 30001 other archs"):
        table.lookup(unknown, ACCURACY)


def test_without_files_the_table_is_empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = load_table("nasbench101")
    assert table.frame.empty
    assert table.metrics() == ()
    assert set(table.missing) == {ACCURACY, TEST_ACCURACY}
    with pytest.raises(DataMissingError, match=r"which has no nasbench101\.npz; set .* GENNAS_DATA") as caught:
        table.lookup("1", ACCURACY)
    assert str(folder) in str(caught.value)
    monkeypatch.delenv("GENNAS_DATA")
    with pytest.raises(DataMissingError, match=r"nasbench101\.npz is not shipped"):
        load_table("nasbench101").column(TEST_ACCURACY)


def test_the_rows_of_one_file_need_the_other(folder: Path, cells: Columns, validated: pd.DataFrame) -> None:
    validated.to_parquet(folder / VALIDATED)
    assert set(load_table("nasbench101").missing) == {ACCURACY, TEST_ACCURACY}
    (folder / VALIDATED).unlink()
    np.savez(folder / CELLS, **cells)
    table = load_table("nasbench101")
    assert table.metrics() == (TEST_ACCURACY,)
    with pytest.raises(DataMissingError, match=r"no nasbench101_valid_30001\.parquet"):
        table.column(ACCURACY)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("test_k", TEST_IMAGES + 1, "test_k of row 17 is 9985; expected at most 9984"),
        ("bits", 0, "row 17 is not a valid NAS-Bench-101 cell"),
        ("n", 9, "row 17 is not a valid NAS-Bench-101 cell"),
        ("ops", None, "contains a cell twice"),
    ],
)
def test_impossible_cells_are_found(folder: Path, cells: Columns, column: str, value: int | None, words: str) -> None:
    changed = {name: values.copy() for name, values in cells.items()}
    if value is None:
        for name in ("n", "bits", "ops"):
            changed[name][17] = changed[name][18]
    else:
        changed[column][17] = value
    np.savez(folder / CELLS, **changed)
    with pytest.raises(InvalidInputError) as caught:
        load_table("nasbench101")
    assert words in str(caught.value)
    assert str(folder / CELLS) in str(caught.value)


def test_wrong_files_of_cells_are_found(folder: Path, cells: Columns) -> None:
    path = folder / CELLS
    np.savez(path, **{name: values[:-1] for name, values in cells.items()})
    with pytest.raises(InvalidInputError, match=r"\(423623,\).*expected 423624 rows"):
        load_table("nasbench101")
    np.savez(path, **{name: values for name, values in cells.items() if name != "test_k"})
    with pytest.raises(InvalidInputError, match=r"cannot read .*: 'test_k"):
        load_table("nasbench101")
    np.savez(path, **cells)
    whole = path.read_bytes()
    for broken in (b"", b"no archive at all", whole[:100_000]):
        path.write_bytes(broken)
        with pytest.raises(InvalidInputError, match="cannot read"):
            load_table("nasbench101")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.iloc[:-1], "30000 rows, 30000 of them distinct; expected 30001"),
        (lambda frame: pd.concat([frame.iloc[:-1], frame.iloc[:1]]), "30001 rows, 30000 of them distinct"),
        (lambda frame: frame.assign(row=frame.row.where(frame.index != 7, ROWS)), "expected 0 to 423623"),
        (lambda frame: frame.assign(valid108=frame.valid108.where(frame.index != 7)), "is nan; expected 0 to 1"),
        (lambda frame: frame.assign(valid108=frame.valid108 * 100), "expected 0 to 1"),
        (lambda frame: frame.drop(columns="valid108"), "cannot read"),
    ],
)
def test_impossible_validations_are_found(
    folder: Path, cells: Columns, validated: pd.DataFrame, change: object, words: str
) -> None:
    np.savez(folder / CELLS, **cells)
    change(validated).to_parquet(folder / VALIDATED)
    with pytest.raises(InvalidInputError) as caught:
        load_table("nasbench101")
    assert words in str(caught.value)
    assert str(folder / VALIDATED) in str(caught.value)


def test_real_data_where_present(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ.get("GENNAS_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / CELLS).is_file() or not (folder / VALIDATED).is_file():
        pytest.skip(f"{folder} lacks {CELLS} or {VALIDATED}; set GENNAS_DATA to the folder that holds them")
    monkeypatch.setenv("GENNAS_DATA", str(folder))
    table = load_table("nasbench101")
    space = NasBench101()
    test, valid = table.column(TEST_ACCURACY), table.column(ACCURACY)
    assert (len(test), valid.notna().sum()) == (423_624, 30_001)
    assert test.agg(["mean", "max"]).tolist() == pytest.approx([0.896799, 0.946615], abs=1e-6)
    assert valid.agg(["mean", "max"]).tolist() == pytest.approx([0.910456, 0.949119], abs=1e-6)
    assert pd.concat([test, valid], axis="columns").corr("spearman").iloc[0, 1] == pytest.approx(0.9708, abs=1e-4)
    # As the benchmark's README prints it, for the Inception-like cell.
    key = "111100/00001/0001/001/10/1 conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu"
    inception = space.canonical(space.parse(key))
    assert table.lookup(inception, TEST_ACCURACY) == pytest.approx(0.9311898946762085, abs=1e-7)
