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


def written(path: Path, rows: list[tuple[object, ...]], *more: str) -> Path:
    frame = pd.DataFrame(rows, columns=["arch", "metric", "value", "source", "seed", "fidelity", *more])
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


def test_predicted_values_are_no_measurements(tmp_path: Path) -> None:
    predicted = [(NONE, "test_accuracy@digits", 0.9, "predicted", 0, 0)]
    table = TableFile.read(written(tmp_path / "a.csv", [*ROWS, *predicted])).table()
    assert table.frame["test_accuracy@digits"].dropna().to_dict() == {SKIP: 0.7}
    with pytest.raises(InvalidInputError, match="no measured values, only computed and predicted ones"):
        TableFile.read(written(tmp_path / "b.csv", [ROWS[0], *predicted]))


def test_values_of_different_origin_are_refused(tmp_path: Path) -> None:
    inherited = (NONE, "accuracy@digits", 0.4, "inherited", 1, 2)
    with pytest.raises(
        InvalidInputError, match="column source has trained in 3 rows, inherited in 1 rows of accuracy@"
    ):
        TableFile.read(written(tmp_path / "a.csv", [*ROWS, inherited]))
    recipes = [(*row, recipe) for row, recipe in zip(ROWS, ("", "a", "a", "a", "b"), strict=True)]
    with pytest.raises(InvalidInputError, match="values of different recipes cannot be compared; keep the rows of one"):
        TableFile.read(written(tmp_path / "b.csv", recipes, "recipe"))
    # Of another metric they may differ.
    device = (NONE, "latency_ms@box", 2.0, "measured", 0, 2, "")
    same = [*((*row, "a") for row in ROWS), device]
    assert TableFile.read(written(tmp_path / "c.csv", same, "recipe")).metrics[-1] == "latency_ms@box"


def test_what_is_measured_on_a_device_has_no_length_of_training(tmp_path: Path) -> None:
    rows = [*ROWS, (NONE, "latency_ms@box", 2.0, "measured", 0, 0)]
    file = TableFile.read(written(tmp_path / "a.csv", rows))
    assert len(file.rows) == 3
    assert file.rows[-1].values == {"accuracy@digits": 0.5, "latency_ms@box": 2.0}


def test_equal_numbers_are_no_contradiction(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = ["key,metric,value,seed", *(f"{SKIP},accuracy@digits,{value},0" for value in ("0.9", "0.90", "9e-1"))]
    path.write_text("\n".join(lines))
    assert TableFile.read(path).table().frame["accuracy@digits"].tolist() == [0.9]
    path.write_text("\n".join([*lines, f"{NONE},accuracy@digits,0.5,0,more"]))
    with pytest.raises(InvalidInputError, match="line 5: more fields than columns"):
        TableFile.read(path)
