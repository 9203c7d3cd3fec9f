"""`gennas export --int8`, and classifying in that precision: here, and by the exported program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from gennas.cli.main import main
from gennas.export import quantisation
from gennas.export.mixed_precision import Attempt, Quantised
from gennas.export.precisions import Comparison

KEY = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images/ of two classes and the study run/ of a network trained on them."""
    place = tmp_path_factory.mktemp("int8")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 10)):
        for label, name in enumerate(("dark", "bright")):
            (place / "images" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(40 + 60 * label, 160 + 60 * label, (12, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / "images" / split / name / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENNAS_HOME", str(place / "home"))
        words = "--image-size 12 --skeleton channels=4,cells=1 --recipe.epochs 4 --recipe.batch-size 8"
        assert (
            main(["validate", *words.split(), "--task", str(place / "images"), "--out", str(place / "run"), KEY]) == 0
        )
    return place


@pytest.fixture
def home(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENNAS_HOME", str(run / "home"))
    return run


def exported(place: Path, out: Path, *words: str) -> int:
    return main(["export", "--study", f"{place / 'run'}", "--task", f"{place / 'images'}", "--out", str(out), *words])


def test_both_precisions_are_written_measured_and_usable(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net"
    assert exported(home, out, "--int8", "--max-drop", "0.05", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    (entry,) = document["networks"]
    assert entry["accuracy_int8"] >= entry["accuracy_float32"] - 0.05
    assert min(entry["latency_ms_float32"], entry["latency_ms_int8"]) > 0
    assert entry["recommended"] in ("float32", "int8")
    assert document["notes"][-1].startswith(f"{entry['recommended']} is recommended: INT8 keeps the accuracy ")
    card = (out / "card.md").read_text()
    assert "`network_int8.onnx` computes in INT8" in card
    assert f"Recommended: {entry['recommended']}" in card
    tensors = [numpy_helper.to_array(one) for one in onnx.load(out / "network_int8.onnx").graph.initializer]
    assert any(tensor.dtype == np.int8 and tensor.ndim == 4 for tensor in tensors)

    files = sorted(map(str, (home / "images" / "val").rglob("*.png")))
    program = [sys.executable, "-I", str(out / "predict.py"), "--json"]
    found = {}
    for precision in ("float32", "int8"):
        assert main(["predict", "--network", str(out), "--precision", precision, "--format", "json", *files]) == 0
        found[precision] = json.loads(capsys.readouterr().out)["images"]
        done = subprocess.run(
            [*program, "--precision", precision, *files], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == found[precision]
        right = [result["class"] == Path(result["file"]).parent.name for result in found[precision]]
        assert np.mean(right) == pytest.approx(entry[f"accuracy_{precision}"])
    pairs = zip(found["float32"], found["int8"], strict=True)
    assert any(exact["probability"] != rounded["probability"] for exact, rounded in pairs)
    # The float network is what is used unless something else is asked for.
    assert main(["predict", "--network", str(out), "--format", "json", *files]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == found["float32"]


def test_a_network_that_collapses_is_exported_in_float_only(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "net"
    attempts = (Attempt("min-max", True, (), 0.5),)

    def collapsing(task: object, document: bytes, **settings: object) -> Quantised:
        return Quantised(document, None, 0.95, attempts, 3)

    monkeypatch.setattr(quantisation, "quantise_for", collapsing)
    assert exported(home, out, "--int8") == 0
    assert "float32 is recommended: INT8 does not keep the accuracy" in capsys.readouterr().out
    assert not (out / "network_int8.onnx").exists()
    assert "There is no INT8 network: in 1 attempts the best one had accuracy 0.5000" in (out / "card.md").read_text()
    image = str(next((home / "images" / "val").rglob("*.png")))
    assert main(["predict", "--network", str(out), "--precision", "int8", image]) == 2
    assert "has no network_int8.onnx; export the network with --int8" in capsys.readouterr().err
    program = [sys.executable, "-I", str(out / "predict.py"), "--precision", "int8", image]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 2
    assert "network_int8.onnx" in done.stderr


@pytest.mark.parametrize(
    ("recommended", "following"), [("int8", " --precision int8 IMAGE ..."), ("float32", " IMAGE ...")]
)
def test_what_is_recommended_comes_next(
    recommended: str,
    following: str,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Comparison, "recommended", property(lambda compared: recommended))
    assert exported(home, tmp_path / "net", "--int8", "--max-drop", "0.05") == 0
    out = capsys.readouterr().out
    assert f"note: {recommended} is recommended" in out
    assert out.splitlines()[-1] == f"next: gennas predict --network {tmp_path / 'net'}{following}"


@pytest.mark.parametrize("max_drop", ["-0.1", "1", "nan"])
def test_an_impossible_drop(home: Path, tmp_path: Path, max_drop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exported(home, tmp_path / "net", "--int8", "--max-drop", max_drop) == 2
    assert "--max-drop is" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
