"""The table of once-for-all MobileNetV3: its two files, and what is said where they are missing or damaged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gennas.errors import DataMissingError, InvalidInputError
from gennas.tables import load_table, mobilenet_v3
from gennas.testing import check_table

BLOCKS = "3 " * 19 + "5"
ROWS = pd.DataFrame(
    {
        "ks": [BLOCKS, BLOCKS.replace("5", "7"), BLOCKS],
        "e": ["4 " * 19 + "4"] * 3,
        # The last block, in which the kernels differ, is absent from the first two.
        "d": ["2 2 2 2 3", "2 2 2 2 3", "2 2 2 2 4"],
        "top1": [75.0, 75.2, 76.0],
    }
)
SHALLOW = "mobilenet_v3:r224/2.2.2.2.3/" + "-".join(["k3e4"] * 11)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files in the form of the published ones."""
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    monkeypatch.setattr(mobilenet_v3, "ROWS", 3)
    monkeypatch.setattr(mobilenet_v3, "TIMED_ROWS", 2)
    ROWS.to_parquet(tmp_path / mobilenet_v3.ACCURACIES)
    timed = ROWS.drop(columns="top1").iloc[1:].assign(r=[128, 224])
    timed = timed.assign(**{column: [1.5, 2.5] for column in mobilenet_v3.DEVICES.values()})
    timed.loc[2, "e"] = "6 " * 19 + "6"
    timed.to_parquet(tmp_path / mobilenet_v3.LATENCIES)
    return tmp_path


def test_archs_that_were_measured_twice_have_the_mean_and_tell_the_noise(folder: Path) -> None:
    table = load_table("mobilenet_v3")
    check_table(table)
    assert len(table.frame) == 4
    assert table.lookup(SHALLOW, "accuracy@imagenet") == pytest.approx(0.751)
    # The std of 0.750 and 0.752.
    assert table.noise["accuracy@imagenet"] == pytest.approx(0.002 / 2**0.5)


def test_latencies_are_of_the_resolution_that_the_file_says(folder: Path) -> None:
    table = load_table("mobilenet_v3")
    assert table.lookup(SHALLOW.replace("r224", "r128"), "latency_ms@titanxp_32") == 1.5
    with pytest.raises(DataMissingError, match="no latency_ms@titanxp_32"):
        table.lookup(SHALLOW, "latency_ms@titanxp_32")


def test_without_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    table = load_table("mobilenet_v3")
    check_table(table)
    with pytest.raises(DataMissingError, match=r"is not available: .*_imagenet.* set the environment variable"):
        table.column("accuracy@imagenet")


@pytest.mark.parametrize(
    ("column", "value", "defect"),
    [
        ("top1", 101.0, "top1 of row 1 is 101.0; expected 0 to 100"),
        ("d", "2 2 2 2 5", "row 1: .*'5' is not a valid depth"),
        ("ks", "3 3", "row 1: .*ks has 2 numbers; expected 20"),
    ],
)
def test_damaged_files_are_named(folder: Path, column: str, value: object, defect: str) -> None:
    damaged = ROWS.copy()
    damaged.loc[1, column] = value
    damaged.to_parquet(folder / mobilenet_v3.ACCURACIES)
    with pytest.raises(InvalidInputError, match=defect):
        load_table("mobilenet_v3")


def test_files_with_too_few_rows_are_refused(folder: Path) -> None:
    ROWS.iloc[:2].to_parquet(folder / mobilenet_v3.ACCURACIES)
    with pytest.raises(InvalidInputError, match="has 2 rows; expected 3"):
        load_table("mobilenet_v3")
