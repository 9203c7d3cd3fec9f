"""The table of DARTS: its file, and what is said where it is missing or damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from gennas.errors import DataMissingError, InvalidInputError
from gennas.spaces import get_space
from gennas.tables import darts, load_table
from gennas.tasks import get_task
from gennas.testing import check_table

NORMAL = "[(0, 0), (1, 5), (1, 1), (0, 1), (1, 3), (0, 3), (1, 3), (3, 2)]"
REDUCE = "[(1, 0), (0, 2), (1, 3), (0, 3), (3, 0), (0, 1), (2, 0), (3, 6)]"
ARCH, OTHER = f"[{NORMAL}, {REDUCE}]", f"[{NORMAL}, {NORMAL}]"
ROWS = pd.DataFrame({"arch": [ARCH, OTHER], "val_accuracy": [93.3212, 92.5]})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small file in the form of the published one."""
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    monkeypatch.setattr(darts, "ROWS", 2)
    ROWS.to_parquet(tmp_path / darts.FILE)
    return tmp_path


def test_accuracies_are_fractions_under_genotypes(folder: Path) -> None:
    table = load_table("darts")
    check_table(table)
    assert table.lookup(get_space("darts").parse(ARCH), "accuracy@cifar10") == pytest.approx(0.933212)
    assert table.frame.index[0].startswith("Genotype(normal=[('max_pool_3x3', 0), ('dil_conv_3x3', 1)")


def test_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    table = load_table("darts")
    check_table(table)
    with pytest.raises(DataMissingError, match=r"is not available: .*nb301.* set the environment variable"):
        table.column("accuracy@cifar10")


@pytest.mark.parametrize(
    ("column", "value", "defect"),
    [
        ("val_accuracy", 101.0, r"val_accuracy of row 1 is 101.0; expected 0 to 100"),
        ("arch", ARCH.replace("(3, 6)", "(3, 7)"), r"row 1: .* 7 is no number of an operation, 0 to 6"),
        ("arch", ARCH.replace("(0, 0), (1, 5)", "(1, 5), (0, 0)"), "twice"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, column: str, value: object, defect: str) -> None:
    damaged = ROWS.copy()
    damaged.loc[1, column] = value
    damaged.to_parquet(folder / darts.FILE)
    with pytest.raises(InvalidInputError, match=defect):
        load_table("darts")


def test_a_file_with_too_few_rows_is_refused(folder: Path) -> None:
    ROWS.iloc[:1].to_parquet(folder / darts.FILE)
    with pytest.raises(InvalidInputError, match="has 1 rows; expected 2"):
        load_table("darts")


def test_costs_are_those_of_the_published_file() -> None:
    path = Path(os.environ.get("GENNAS_DATA", ""), darts.FILE)
    if not path.is_file():
        pytest.skip(f"{darts.FILE} is not here; set GENNAS_DATA to the folder that holds it")
    space, task = get_space("darts"), get_task("cifar10")
    for row in pd.read_parquet(path).itertuples():
        costs = space.costs(space.parse(row.arch), task)
        assert (f"{costs['params_m']:.6g}", f"{costs['macs_m']:.6g}") == (f"{row.params:.6g}", f"{row.flops:.6g}")
