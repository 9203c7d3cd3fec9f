"""The TransNAS-Bench-101 micro table: what the file holds, in gennas units, and what goes wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from gennas.errors import DataMissingError, InvalidInputError
from gennas.metrics import Metric
from gennas.problem import Problem
from gennas.tables import load_table
from gennas.tables.transnas_micro import CELLS, METRICS, ROWS
from gennas.tasks import get_task

#: Damages the rows of a file.
Change = Callable[[pd.DataFrame], pd.DataFrame]
DATA = Path(os.environ.get("GENNAS_DATA", ""), CELLS)
WITH_DATA = pytest.mark.skipif(not os.environ.get("GENNAS_DATA") or not DATA.is_file(), reason="needs GENNAS_DATA")


def write(folder: Path, cells: int = ROWS) -> pd.DataFrame:
    """A file of the same form, of the first cells as they are numbered."""
    digits = [tuple((row >> 2 * place) & 3 for place in range(6)) for row in range(cells)]
    rows = [
        {"task": metric.partition("@")[2], "arch": str(cell), "val_accuracy": row / 1000 * (-1 if factor < 0 else 1)}
        for metric, factor in METRICS.items()
        for row, cell in enumerate(digits)
    ]
    frame = pd.DataFrame(rows)
    frame.to_parquet(folder / CELLS)
    return frame


def test_values_are_in_units_of_gennas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    table = load_table("transnas_micro")
    assert (len(table.frame), table.missing, table.is_partial) == (711, {}, True)
    # Row 100 is 0b001100100: the first four digits are 0, 1, 2, 1.
    found = {metric: table.lookup("64-41414-0_12_100", metric) for metric in METRICS}
    assert found == pytest.approx(
        {metric: 0.1 * (0.01 if metric.startswith("accuracy") else 1) for metric in METRICS}, abs=1e-12
    )


def test_tasks_of_its_metrics() -> None:
    for name in METRICS:
        task = get_task(str(Metric.parse(name).target))
        # Networks are built with a head for classification, whatever the benchmark predicts.
        assert bool(task.notes) != task.name.startswith("class_")
    assert Metric.parse("mse@room_layout").kind.direction == "min"


def test_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    table = load_table("transnas_micro")
    assert table.metrics() == ()
    with pytest.raises(DataMissingError, match=r"has no transnas101_micro\.parquet; set the environment variable"):
        table.column("accuracy@class_scene")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.iloc[1:], "has 711 cells, on class_scene 710; expected 711 on each of class_scene"),
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "contains a cell twice for one task"),
        (lambda frame: frame.replace(str((0,) * 6), "(0, 0, 0, 0, 0, 4)"), "has operation '4'"),
    ],
)
def test_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, words: str) -> None:
    change(write(tmp_path)).to_parquet(tmp_path / CELLS)
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    with pytest.raises(InvalidInputError) as caught:
        load_table("transnas_micro")
    assert words in str(caught.value)


@WITH_DATA
def test_published_values() -> None:
    table = load_table("transnas_micro")
    assert table.frame.notna().all(axis=None)
    assert table.frame["accuracy@class_scene"].max() == pytest.approx(0.54797)
    assert table.frame["accuracy@jigsaw"].max() == pytest.approx(0.94994)
    assert table.frame["mse@room_layout"].min() == pytest.approx(0.609499)
    assert table.lookup("64-41414-1_00_210", "accuracy@class_scene") == pytest.approx(0.348925)


@WITH_DATA
def test_searches_propose_none_but_its_cells() -> None:
    table = load_table("transnas_micro")
    problem = table.within(Problem("transnas_micro", "normal", "ssim"))
    assert problem.among is not None
    assert len(problem.among.archs) == 711
