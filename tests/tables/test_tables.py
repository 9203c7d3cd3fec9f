"""The tables module: what is shipped, what GENNAS_DATA adds, and what goes wrong."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gennas.arch import Arch
from gennas.errors import DataMissingError, InvalidArchError, InvalidInputError, UnknownNameError
from gennas.paths import shipped
from gennas.spaces.nasbench201.space import NasBench201
from gennas.tables import TABLES, load_table
from gennas.tables.nasbench201 import DEVICES, ROWS, TASKS

KEYS = [arch.key for arch in NasBench201().enumerate()]
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.fixture
def without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENNAS_DATA", raising=False)


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GENNAS_DATA folder with files of the right form in another row order, every value made up."""
    rng = np.random.default_rng(0)
    keys = rng.permutation(KEYS)
    valid = {f"valid200_{short}": rng.uniform(1, 90, ROWS) for short in TASKS.values()}
    pd.DataFrame({"arch_str": keys, **valid}).to_parquet(tmp_path / "nasbench201.parquet")
    latency = {device: rng.uniform(1, 40, ROWS) for device in DEVICES}
    pd.DataFrame({"arch_str": keys, **latency}).to_parquet(tmp_path / "nasbench201_latency_ms.parquet")
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    return tmp_path


def _change(path: Path, row: int, column: str, value: object) -> None:
    frame = pd.read_parquet(path)
    frame.loc[row, column] = value
    frame.to_parquet(path)


@pytest.mark.usefixtures("without_data")
def test_shipped_part() -> None:
    table = load_table()
    assert (table.name, table.space) == ("nasbench201", "nasbench201")
    assert list(table.frame.index) == KEYS
    assert table.metrics() == (*(f"test_accuracy@{task}" for task in TASKS), "latency_ms@cpu")
    best = [table.frame[f"test_accuracy@{task}"].max() for task in TASKS]
    assert best == pytest.approx([0.94373, 0.73513, 0.47311], abs=1e-5)
    # A published row of a cell without symmetry, so that another order of rows or edges cannot pass.
    cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    row = [table.lookup(cell, f"test_accuracy@{task}") for task in TASKS]
    assert row == pytest.approx([0.921850, 0.669500, 0.313500], abs=1e-6)


@pytest.mark.usefixtures("without_data")
def test_shipped_latencies_belong_to_their_cells() -> None:
    latency = load_table().column("latency_ms@cpu").dropna()
    assert len(latency) == 3_000
    space = NasBench201()
    archs = [space.parse(key) for key in latency.index]
    nothing = space.arch(("input", *["none"] * 6, "output"))
    # A network whose output does not depend on its input is computed in advance by onnxruntime.
    constant = np.array([space.canonical(arch) == nothing for arch in archs])
    assert latency[constant].max() < 0.01
    assert latency[~constant].min() > 0.1


def test_measured_latencies_are_in_order() -> None:
    frame = pd.read_parquet(shipped("datasets") / "nasbench201" / "latency_cpu.parquet")
    assert (frame.latency_ms_q25 <= frame.latency_ms).all()
    assert (frame.latency_ms <= frame.latency_ms_q75).all()
    twice = frame.dropna()
    assert len(twice) == 300
    assert twice.latency_ms.corr(twice.latency_ms_again, method="spearman") > 0.99


@pytest.mark.usefixtures("without_data")
def test_what_is_not_here_names_the_file_and_the_variable() -> None:
    table = load_table()
    with pytest.raises(DataMissingError, match=r"nasbench201\.parquet is not shipped.*set .* GENNAS_DATA"):
        table.lookup(CELL, "accuracy@cifar10")
    with pytest.raises(DataMissingError, match=r"nasbench201_latency_ms\.parquet"):
        table.column("latency_ms@pixel3")
    assert set(table.missing) == {f"accuracy@{t}" for t in TASKS} | {f"latency_ms@{d}" for d in DEVICES}


def test_a_folder_without_the_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_DATA", str(tmp_path))
    with pytest.raises(DataMissingError, match=r"which has no nasbench201\.parquet") as caught:
        load_table().lookup(CELL, "accuracy@cifar10")
    assert str(tmp_path) in str(caught.value)


def test_data_folder_is_joined_by_key(made_up: Path) -> None:
    table = load_table()
    assert not table.missing
    published = pd.read_parquet(made_up / "nasbench201.parquet").set_index("arch_str")
    latency = pd.read_parquet(made_up / "nasbench201_latency_ms.parquet").set_index("arch_str")
    for key in KEYS[::1000]:
        assert table.lookup(key, "accuracy@imagenet16-120") == pytest.approx(published.valid200_in16[key] / 100)
        assert table.lookup(NasBench201().parse(key), "latency_ms@raspi4") == latency.raspi4[key]


@pytest.mark.usefixtures("without_data")
def test_lookup_errors() -> None:
    table = load_table()
    metric = "test_accuracy@cifar10"
    with pytest.raises(UnknownNameError, match="Did you mean 'test_accuracy@cifar10'"):
        table.lookup(CELL, "test_accuracy@cifar1")
    with pytest.raises(UnknownNameError, match="Did you mean 'latency_ms@pixel3'"):
        table.column("latency_ms@pixel4")
    with pytest.raises(InvalidArchError, match="Did you mean 'nor_conv_3x3'"):
        table.lookup(CELL.replace("nor_conv_3x3~0", "nor_conv_3x9~0", 1), metric)
    with pytest.raises(InvalidInputError, match="is an arch of space 'other'"):
        table.lookup(Arch("other", CELL, (), ()), metric)
    cpu = table.column("latency_ms@cpu")
    with pytest.raises(DataMissingError, match="only for 3000 other archs"):
        table.lookup(cpu.index[cpu.isna()][0], "latency_ms@cpu")
    assert table.lookup(f" {CELL}\n", metric) == table.lookup(CELL, metric)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("valid200_c10", 101.0, "is 101.0; expected 0 to 100"),
        ("valid200_c100", np.nan, "is nan; expected 0 to 100"),
        ("valid200_in16", -1.0, "is -1.0; expected 0 to 100"),
        ("arch_str", "|rubbish|", "'|rubbish|' is not a valid NAS-Bench-201 cell"),
    ],
)
def test_impossible_values_are_found(made_up: Path, column: str, value: object, words: str) -> None:
    _change(made_up / "nasbench201.parquet", 17, column, value)
    with pytest.raises(InvalidInputError) as caught:
        load_table()
    assert words in str(caught.value)
    assert "nasbench201.parquet" in str(caught.value)


def test_wrong_files_are_found(made_up: Path) -> None:
    path = made_up / "nasbench201.parquet"
    frame = pd.read_parquet(path)
    for wrong, words in (
        (frame.iloc[:-1], "15624 rows; expected 15625"),
        (pd.concat([frame.iloc[:-1], frame.iloc[:1]]), "twice"),
        (frame.drop(columns="valid200_c10"), "cannot read"),
    ):
        wrong.to_parquet(path)
        with pytest.raises(InvalidInputError, match=words):
            load_table()
    path.write_bytes(b"no Parquet at all")
    with pytest.raises(InvalidInputError, match="cannot read"):
        load_table()


def test_infinite_latency_is_found(made_up: Path) -> None:
    _change(made_up / "nasbench201_latency_ms.parquet", 5, "pixel3", np.inf)
    with pytest.raises(InvalidInputError, match=r"pixel3 .* is inf"):
        load_table()


def test_tables_are_registered() -> None:
    assert "nasbench201" in TABLES.list()
    with pytest.raises(UnknownNameError, match="Did you mean 'nasbench201'"):
        load_table("nasbench2o1")


def test_shipped_folders_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (shipped("datasets") / "nasbench201" / "table.parquet").is_file()
    # An installed wheel: the package's own folder counts, not an unrelated package beside it.
    monkeypatch.setattr("gennas.paths.__file__", str(tmp_path / "gennas" / "shipped.py"))
    with pytest.raises(DataMissingError, match="install gennas"):
        shipped("datasets")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "gennas" / "_shipped" / "datasets").mkdir(parents=True)
    assert shipped("datasets") == tmp_path / "gennas" / "_shipped" / "datasets"


def test_real_data_where_present(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ.get("GENNAS_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / "nasbench201.parquet").is_file():
        pytest.skip(f"{folder} has no nasbench201.parquet; set GENNAS_DATA to the folder that holds it")
    monkeypatch.setenv("GENNAS_DATA", str(folder))
    table = load_table()
    best = [table.frame[f"accuracy@{task}"].max() for task in TASKS]
    assert best == pytest.approx([0.91607, 0.73493, 0.46733], abs=1e-5)
    pixel3 = table.column("latency_ms@pixel3")
    assert (pixel3 < 1).sum() == 283


def test_a_table_of_ones_own_is_an_object_or_a_function(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "import pandas as pd\n"
        "from gennas.tables import Table\n"
        "MINE = Table('mine', 'nasbench201', pd.DataFrame({'accuracy@pets': [0.5]}, index=['key']), {}, ())\n"
        "def read():\n"
        "    return MINE\n"
        "def broken():\n"
        "    return None\n"
    )
    assert load_table(f"{path}:MINE") is load_table(f"{path}:read") is load_table("Mine")
    with pytest.raises(InvalidInputError, match=r"own.py:broken' gave None; expected a gennas.Table"):
        load_table(f"{path}:broken")
