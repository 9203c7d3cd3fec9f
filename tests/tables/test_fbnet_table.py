"""The FBNet table: what GENNAS_DATA holds, and what goes wrong."""

import os
from pathlib import Path

import pandas as pd
import pytest

from gennas.errors import DataMissingError, InvalidInputError
from gennas.tables import load_table
from gennas.tables.fbnet import COLUMNS, LATENCIES

OPS = "7 8 1 8 4 8 8 8 7 4 1 4 7 3 2 7 3 2 4 2 4 5"


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Two made-up rows of the file, which :func:`_written` writes to GENNAS_DATA."""
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    frame = pd.DataFrame({"index": [0, 1], "ops": [OPS, OPS.replace("7", "0")]})
    for number, column in enumerate(COLUMNS.values(), start=1):
        frame[column] = [float(number), number + 0.5]
    return frame


def _written(rows: pd.DataFrame) -> None:
    rows.to_parquet(Path(os.environ["GENNAS_DATA"]) / LATENCIES)


def test_values_belong_to_their_archs_and_devices(rows: pd.DataFrame) -> None:
    _written(rows)
    table = load_table("fbnet")
    assert (table.name, table.space, table.latency_input_shape) == ("fbnet", "fbnet", (3, 224, 224))
    assert len(table.metrics()) == 27
    assert table.is_partial
    assert not table.missing
    key = table.frame.index[0]
    assert key.startswith("fbnet:k5_e6-skip-k3_e1_g2")
    assert table.lookup(key, "latency_ms@1080ti_1") == 1
    assert table.lookup(table.frame.index[1], "latency_ms@titanxp_64") == 27.5


def test_that_no_accuracies_are_known_is_said_plainly(rows: pd.DataFrame) -> None:
    _written(rows)
    with pytest.raises(InvalidInputError, match=r"no accuracy@imagenet, nor any other accuracies; .* such as \+macs_m"):
        load_table("fbnet").column("accuracy@imagenet")


def test_where_the_file_is_missing_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENNAS_DATA", raising=False)
    table = load_table("fbnet")
    assert not table.metrics()
    assert set(table.missing) == set(COLUMNS)
    with pytest.raises(DataMissingError, match=r"fbnet_latency_ms\.parquet is not shipped"):
        table.column("latency_ms@pixel2")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("ops", "9" + OPS[1:], "row 1: .*not an arch of fbnet"),
        ("ops", OPS, "twice"),
        ("lat_pixel2", 0.0, "lat_pixel2 of .* is 0.0; expected a positive number"),
        ("lat_fpga", float("nan"), "lat_fpga of .* is nan"),
    ],
)
def test_defects_are_named(rows: pd.DataFrame, column: str, value: object, words: str) -> None:
    rows.loc[1, column] = value
    _written(rows)
    with pytest.raises(InvalidInputError, match=words):
        load_table("fbnet")


@pytest.mark.skipif(
    not Path(os.environ.get("GENNAS_DATA", ""), LATENCIES).is_file(), reason="needs fbnet_latency_ms.parquet"
)
def test_the_published_latencies() -> None:
    frame = load_table("fbnet").frame
    assert frame.shape == (5000, 27)
    assert frame["latency_ms@pixel3"].mean() == pytest.approx(17.842, abs=1e-3)
