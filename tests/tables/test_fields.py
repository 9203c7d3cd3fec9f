"""Files with a row per value, as exports of evaluations have them, are tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gennas.errors import InvalidInputError
from gennas.tables.user import TableFile

CELL = "|nor_conv_3x3~0|+|none~0|{}~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
SKIP, NONE = CELL.format("skip_connect"), CELL.format("none")
ROWS = [
    (SKIP, "params_m", 0.5, "computed", 0, 0),
    (SKIP, "accuracy@digits", 0.75, "trained", 0, 2),
    (SKIP, "test_accuracy@digits", 0.7, "trained", 0, 2),
    (SKIP, "accuracy@digits", 0.65, "trained", 1, 2),
    (NONE, "accuracy@digits", 0.5, "trained", 0, 2),
]


def written(path: Path, rows: list[tuple[object, ...]]) -> Path:
    frame = pd.DataFrame(rows, columns=["arch", "metric", "value", "source", "seed", "fidelity"])
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_an_export_is_a_table(tmp_path: Path, name: str) -> None:
    file = TableFile.read(written(tmp_path / name, ROWS))
    table = file.table()
    assert table.space == "nasbench201"
    assert table.frame["accuracy@digits"].to_dict() == {SKIP: pytest.approx(0.7), NONE: 0.5}
    assert table.frame["test_accuracy@digits"].dropna().to_dict() == {SKIP: 0.7}
    assert len(file.rows) == 3
    # Two measurements, 0.05 from their mean.
    assert file.noise()["accuracy@digits"] == (pytest.approx(0.005**0.5), 1)


def test_contradictions_and_other_trainings_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="with other values"):
        TableFile.read(written(tmp_path / "a.csv", [*ROWS, (NONE, "accuracy@digits", 0.4, "trained", 0, 2)]))
    with pytest.raises(InvalidInputError, match="different length"):
        TableFile.read(written(tmp_path / "b.csv", [*ROWS, (NONE, "accuracy@digits", 0.4, "trained", 1, 9)]))
