"""The NAS-Bench-Graph table: what is shipped, and what goes wrong."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.metrics import Metric
from gennas.paths import shipped
from gennas.tables import TABLES, load_table
from gennas.tables.nasbench_graph import ROWS, TASKS, hardware
from gennas.tasks import get_task

FILE = Path("nasbench_graph") / "table.parquet"


def test_everything_is_shipped() -> None:
    table = load_table("nasbench_graph")
    assert "nasbench_graph" in TABLES.list()
    assert (table.name, table.space, table.missing) == ("nasbench_graph", "nasbench_graph", {})
    assert table.metrics() == (
        *(f"accuracy@{task}" for task in TASKS),
        *(f"test_accuracy@{task}" for task in TASKS),
        *(f"latency_ms@{hardware(task)}" for task in TASKS),
    )
    assert all(get_task(task).name == task for task in TASKS)
    assert all(Metric.parse(name.removeprefix("test_")).target for name in table.metrics())
    assert (table.frame.notna().sum() == [TASKS[task] for task in TASKS] * 3).all()


def test_published_values() -> None:
    table = load_table("nasbench_graph")
    # A published row of an arch without symmetry.
    row = [table.lookup("0012 gat gcn gin cheb", metric) for metric in ("accuracy@arxiv", "test_accuracy@arxiv")]
    assert row == pytest.approx([0.724333, 0.713680], abs=1e-6)
    best = {task: table.frame[f"test_accuracy@{task}"].max() for task in TASKS}
    assert best["cora"] == pytest.approx(0.831333, abs=1e-6)
    assert best["arxiv"] == pytest.approx(0.723865, abs=1e-6)
    assert table.frame["latency_ms@gpu-arxiv"].max() == pytest.approx(132.177, abs=1e-3)


def test_archs_that_were_not_measured_on_proteins() -> None:
    table = load_table("nasbench_graph")
    missing = table.frame.index[table.frame["accuracy@proteins"].isna()]
    assert len(missing) == ROWS - 2_021
    assert all({"gat", "gin", "cheb", "graph"} & set(key.split()) for key in missing)
    with pytest.raises(DataMissingError, match="only for 2021 other archs"):
        table.lookup(missing[0], "accuracy@proteins")
    with pytest.raises(UnknownNameError, match="Did you mean 'latency_ms@gpu-cora'"):
        table.column("latency_ms@gpu-core")


def test_equal_to_an_independent_copy() -> None:
    folder = Path(os.environ.get("GENNAS_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / "nasbench_graph.parquet").is_file():
        pytest.skip(f"{folder} has no nasbench_graph.parquet; set GENNAS_DATA to the folder that holds it")
    other = pd.read_parquet(folder / "nasbench_graph.parquet")
    other = other.set_index(other["link"] + " " + other["ops"])
    frame = load_table("nasbench_graph").frame
    assert list(frame.index) == list(other.index)
    for task in TASKS:
        if task == "proteins":
            continue
        for metric, name, factor in (
            (f"accuracy@{task}", "valid", 1),
            (f"test_accuracy@{task}", "test", 1),
            (f"latency_ms@{hardware(task)}", "latency", 1000),
        ):
            assert np.allclose(frame[metric] / factor, other[f"{name}_{task}"], rtol=0, atol=1e-6), metric


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped file, read in its place."""
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_bytes((shipped("datasets") / FILE).read_bytes())
    monkeypatch.setattr("gennas.tables.nasbench_graph.shipped", lambda name: tmp_path)
    return path


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("accuracy@cora", 1.5, "accuracy@cora of '0000 gat gat gat sage' is 1.5; expected 0 to 1;"),
        ("accuracy@cora", -0.5, "is -0.5; expected 0 to 1;"),
        ("latency_ms@gpu-cs", np.inf, "is inf; expected 0 to 10000;"),
        ("test_accuracy@cs", np.nan, "has 26205 values of test_accuracy@cs; expected 26206;"),
        ("accuracy@proteins", 0.5, "has 2022 values of accuracy@proteins; expected 2021;"),
        ("key", "0000 gat gat gat gat", "contains the arch '0000 gat gat gat gat' twice;"),
    ],
)
def test_impossible_values_are_found(copy: Path, column: str, value: object, words: str) -> None:
    frame = pd.read_parquet(copy)
    frame.loc[4, column] = value
    frame.to_parquet(copy)
    with pytest.raises(InvalidInputError) as caught:
        load_table("nasbench_graph")
    assert words in str(caught.value)
    assert str(copy) in str(caught.value)


def test_wrong_files_are_found(copy: Path) -> None:
    frame = pd.read_parquet(copy)
    for wrong, words in (
        (frame.iloc[:-1], "26205 rows; expected 26206"),
        (frame.drop(columns="key"), "cannot read"),
    ):
        wrong.to_parquet(copy)
        with pytest.raises(InvalidInputError, match=words):
            load_table("nasbench_graph")
    copy.write_bytes(b"no Parquet at all")
    with pytest.raises(InvalidInputError, match="cannot read"):
        load_table("nasbench_graph")
    copy.unlink()
    with pytest.raises(DataMissingError, match="reinstall gennas"):
        load_table("nasbench_graph")
