"""A bundle measures a device without gennas, and what it writes is what gennas reads."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from gennas.cli.main import main
from gennas.errors import InvalidInputError, StudyError
from gennas.evaluators.hardware_bundle import write_bundle
from gennas.hardware import store
from gennas.hardware.csv_settings import CsvSettings
from gennas.hardware.measure import LEAST_RUNS, read_rows, write_rows
from gennas.hardware.measurement_csv import read_hardware
from gennas.spaces import get_space
from gennas.tasks import get_task

SPACE, TASK = get_space("nasbench201", "channels=4,cells=1"), get_task("digits", image_size=16)
ARCHS = [arch for seed in range(9) if not SPACE.is_constant(arch := SPACE.sample(np.random.default_rng(seed)))][:4]
#: Runs a script as if nothing but onnxruntime, numpy and the standard library were installed.
WITHOUT_GENNAS = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("gennas", "torch", "onnx", "pandas", "scipy"):
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Blocker())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def measured(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-I", "-c", WITHOUT_GENNAS, "measure.py", "--seconds", "0.02", *options]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of four networks."""
    path = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    write_bundle(path, "board", ARCHS, space=SPACE, task=TASK)
    return path


@pytest.fixture
def folder(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle, unpacked."""
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    with zipfile.ZipFile(written) as bundle:
        bundle.extractall(tmp_path / "there")
    return tmp_path / "there"


def test_what_is_in_a_bundle(folder: Path) -> None:
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    networks = [f"networks/{number:02d}.onnx" for number in range(1, 5)]
    assert files == sorted(["README.txt", "bundle.json", "measure.py", "measurements.csv", *networks])
    readme = (folder / "README.txt").read_text()
    assert "UNTRAINED" in readme
    assert "gennas hardware add board --csv measurements.csv" in readme
    rows = read_rows(folder / "measurements.csv")
    assert [row["key"] for row in rows] == [arch.key for arch in ARCHS]
    assert {(row["skeleton"], row["input_shape"], row["latency_ms"]) for row in rows} == {
        ("channels=4,cells=1", "3x16x16", "")
    }
    (entry,) = onnx.load(folder / "networks" / "01.onnx").graph.input
    assert [side.dim_value for side in entry.type.tensor_type.shape.dim] == [1, 3, 16, 16]


def test_measuring_without_gennas_and_reading_it(folder: Path) -> None:
    done = measured(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" ms") == 4
    assert done.stdout.strip().endswith("gennas hardware add DEVICE --csv measurements.csv")
    path = folder / "measurements.csv"
    settings = CsvSettings.read(path)
    assert (settings.space, settings.skeleton, settings.input_shape) == (SPACE.name, "channels=4,cells=1", (3, 16, 16))
    device = read_hardware(path, "board", SPACE, settings.input_shape, task=TASK)
    assert device.how["csv"] == str(path)
    assert (device.how["runtime"], device.how["threads"], device.how["precision"]) == ("onnxruntime", 1, "float32")
    assert "CPUs" in str(device.how["machine"])
    for row in device.measurements:
        assert row.quartiles_ms is not None
        assert row.p90_ms is not None
        assert row.quartiles_ms[0] <= row.latency_ms <= row.quartiles_ms[1] <= row.p90_ms
        assert (row.runs or 0) >= LEAST_RUNS
    store.add(device)
    assert store.load(SPACE.name, "board") == device


def test_interrupted_measurements_go_on_and_settings_are_not_mixed(folder: Path) -> None:
    path = folder / "measurements.csv"
    assert measured(folder).returncode == 0
    rows = read_rows(path)
    rows[2]["latency_ms"] = ""
    kept = rows[0]["latency_ms"]
    write_rows(path, rows)
    refused = measured(folder, "--threads", "2")
    assert refused.returncode == 2
    assert "holds measurements with threads '1', not '2'; give another file with --out" in refused.stderr
    assert measured(folder).returncode == 0
    again = read_rows(path)
    assert all(row["latency_ms"] for row in again)
    assert again[0]["latency_ms"] == kept
    assert measured(folder, "--threads", "2", "--out", "two.csv").returncode == 0
    two = read_hardware(folder / "two.csv", "two", SPACE, (3, 16, 16))
    assert two.how["threads"] == 2
    with pytest.raises(StudyError, match="threads was 1, is now 2"):
        read_hardware(folder / "two.csv", "two", SPACE, (3, 16, 16), read_hardware(path, "two", SPACE, (3, 16, 16)))


def test_a_damaged_network_costs_no_other_measurement(folder: Path) -> None:
    network = folder / "networks" / "02.onnx"
    whole = network.read_bytes()
    network.write_bytes(whole[:100])
    done = measured(folder)
    assert done.returncode == 1
    assert "2/4  networks/02.onnx  failed: " in done.stderr
    assert "1 of 4 networks could not be measured" in done.stderr
    assert "Traceback" not in done.stderr
    rows = read_rows(folder / "measurements.csv")
    assert [bool(row["latency_ms"]) for row in rows] == [True, False, True, True]
    network.write_bytes(whole)
    assert measured(folder).returncode == 0
    assert read_rows(folder / "measurements.csv")[0] == rows[0]


def test_measuring_refuses_what_it_cannot_use(folder: Path) -> None:
    path = folder / "measurements.csv"
    semicolons = path.read_text().replace(",", ";")
    (folder / "semicolons.csv").write_text(semicolons)
    for options, message in (
        (["--out", "networks"], "--out is 'networks'; expected a file in a folder that exists"),
        (["--out", "none/there.csv"], "expected a file in a folder that exists"),
        (["--out", "semicolons.csv"], "semicolons.csv has no column 'file'; expected the bundle's measurements.csv"),
    ):
        done = measured(folder, *options)
        assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert (folder / "semicolons.csv").read_text() == semicolons
    (folder / "bundle.json").unlink()
    done = measured(folder)
    assert done.returncode == 2
    assert "bundle.json" in done.stderr
    assert "unzip the whole bundle" in done.stderr


def test_int8(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle.zip", "board", ARCHS[:1], space=SPACE, task=TASK, precision="int8")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        model = onnx.load_from_string(bundle.read("networks/01.onnx"))
        assert json.loads(bundle.read("bundle.json"))["precision"] == "int8"
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}


def test_tasks_without_images_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="needs images"):
        write_bundle(tmp_path / "bundle.zip", "board", ARCHS, space=SPACE, task=get_task("cora"))
    assert list(tmp_path.iterdir()) == []


def filled(folder: Path, *changes: dict[str, str]) -> Path:
    """The file filled by hand; further changes are those of rows."""
    path = folder / "measurements.csv"
    rows = read_rows(path)
    for number, row in enumerate(rows):
        row["latency_ms"] = f"{4.5 + number}"
        row.update(changes[number] if number < len(changes) else {})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row in rows if row["key"])
    return path


def test_files_filled_by_hand(folder: Path) -> None:
    path = filled(folder, *({"runtime": "TFLite", "threads": "4 big"} for _ in range(4)), {"key": ""})
    device = read_hardware(path, "board", SPACE, None)
    assert (device.how["runtime"], device.how["threads"]) == ("TFLite", "4 big")
    assert device.measurements[1].latency_ms == 5.5
    assert device.measurements[1].quartiles_ms is None
    assert device.measurements[1].runs is None
    # A digit to str.isdigit, and none to int.
    odd = read_hardware(filled(folder, *({"threads": "²"} for _ in range(4))), "board", SPACE, None)
    assert odd.how["threads"] == "²"
    in_seconds = read_hardware(filled(folder, {"p90_ms": "6", "runs": "50"}), "board", SPACE, None, unit="s")
    assert (in_seconds.measurements[0].latency_ms, in_seconds.measurements[0].p90_ms) == (4500, 6000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{}, {"latency_ms": ""}], "line 3: .* has no latency_ms; fill it in or delete the row"),
        ([{}, {"threads": "4"}], "line 3: threads is '4', but '' in line 2; give each a file and a name"),
        ([{"skeleton": "cells=3"}], "line 3: skeleton is 'channels=4,cells=1', but 'cells=3' in line 2"),
        ([{"p90_ms": "fast"}], "line 2: p90_ms is 'fast'; expected a number, or nothing"),
        ([{"lower_quartile_ms": "-1"}], "line 2: lower_quartile_ms is -1; must be in"),
        ([{"runs": "0"}], "line 2: runs is below 1"),
        ([{"runs": "inf"}], "line 2: runs is inf; expected a count"),
        (
            [{"lower_quartile_ms": "9", "upper_quartile_ms": "2"}],
            "line 2: lower_quartile_ms 9 is above upper_quartile_ms 2",
        ),
        ([{"input_shape": "32"}] + [{"input_shape": "32"}] * 3, "input_shape is '32'; expected e.g. 3x32x32"),
    ],
)
def test_files_that_cannot_be_used(folder: Path, changes: list[dict[str, str]], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_hardware(filled(folder, *changes), "board", SPACE, None)


def test_from_a_bundle_to_archs_for_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the shipped checkpoint: as a user does it, in another skeleton and image size than the checkpoint's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    options = "--task digits --image-size 16 --skeleton channels=4,cells=1"
    assert main(f"hardware bundle board -n 10 {options} --out bundle.zip".split()) == 0, capsys.readouterr().err
    with zipfile.ZipFile("bundle.zip") as bundle:
        bundle.extractall("there")
    done = measured(tmp_path / "there")
    assert done.returncode == 0, done.stderr
    add = "hardware add board --csv there/measurements.csv --format json"
    capsys.readouterr()
    assert main(add.split()) == 0
    captured = capsys.readouterr()
    asked = "gennas generate --task digits --hardware board --image-size 16 --skeleton channels=4,cells=1 --where"
    assert asked in captured.err
    added = json.loads(captured.out)["hardware"]
    assert (added["measurements"], added["skeleton"], added["input_shape"]) == (10, "channels=4,cells=1", [3, 16, 16])
    generate = "generate --hardware board -n 3 --objective accuracy,-latency_ms@board"
    assert main([*generate.split(), *options.split()]) == 0
    said = capsys.readouterr()
    assert "latency_ms@board" in said.out
    assert "it is scaled" not in said.err, "it was measured on these networks"
    rows = read_rows(Path("there/measurements.csv"))
    write_rows(Path("seconds.csv"), [{**row, "latency_ms": f"{float(row['latency_ms']) / 1e3}"} for row in rows])
    for wrong, message in (
        ("--space nasbench101", "of space 'nasbench201', not 'nasbench101'; give --space nasbench201"),
        ("--skeleton cells=2", "--skeleton is 'cells=2', but the file has networks with channels=4,cells=1"),
        ("--task cifar10", "--task has images of 3x32x32, but the file has networks for 3x16x16"),
        ("--csv seconds.csv", "Are they seconds? Give --unit s"),
    ):
        assert main([*add.replace("board", "other", 1).split(), *wrong.split()]) == 2
        assert message in capsys.readouterr().err
    assert store.names("nasbench201") == ("board",)
    for words, message in (
        ("cpu-int8 --out b.zip", "hardware 'cpu-int8' is this machine"),
        ("pixel3 --out b.zip", "hardware 'pixel3' already exists"),
        ("board --out b.tar", "expected a name that ends in .zip"),
        ("board --out b.zip -n 2", "expected at least 3 networks"),
        ("board --out b.zip --task cora", "needs images"),
    ):
        assert main(["hardware", "bundle", *words.split()]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("b.*"))
