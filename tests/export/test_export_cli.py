"""`gennas export` of networks, and `gennas predict --network`: what the folder holds, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from gennas.cli.main import main
from gennas.export.preprocessing import Preprocessing
from gennas.studies.networks import StudyNetworks
from gennas.studies.study import Study
from gennas.tasks import get_task

ACCURACY = "accuracy@shapes"

GOOD = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
POOR = "|skip_connect~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|"
FILES = {
    "arch.json", "arch.svg", "card.md", "labels.txt", "network.onnx", "network.py", "predict.py", "preprocess.json",
    "requirements.txt", "weights.safetensors",
}  # fmt: skip


def shapes_folder(folder: Path) -> Path:
    """Images of two classes, of many sizes and modes, some of them turned by EXIF, with a test split."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 8), ("test", 12)):
        for label, name in enumerate(("dark disk", "bright bar")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                width, height = (int(side) for side in rng.integers(9, 40, 2))
                pixels = rng.integers(60, 120, (height, width, 3), dtype=np.uint8)
                if label:
                    pixels[height // 3 : height // 2 + 1] += 120
                else:
                    pixels[height // 4 : -height // 4, width // 4 : -width // 4] //= 4
                image, path = Image.fromarray(pixels), folder / split / name / f"{number}"
                if number % 4 == 0:
                    exif = Image.Exif()
                    exif[0x0112] = 6
                    image.save(path.with_suffix(".jpg"), exif=exif)
                elif number % 4 == 1:
                    image.convert("L").save(path.with_suffix(".png"))
                elif number % 4 == 2:
                    image.putalpha(Image.fromarray(rng.integers(100, 255, (height, width), dtype=np.uint8)))
                    image.save(path.with_suffix(".png"))
                else:
                    image.convert("P").save(path.with_suffix(".gif"))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shapes/ and the study run/ of two networks trained on it."""
    place = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENNAS_HOME", str(place / "home"))
        images = shapes_folder(place / "shapes")
        words = "--image-size 12 --skeleton channels=4,cells=1 --recipe.epochs 4 --latency.seconds 0.05"
        words += f" --recipe.batch-size 8 --task {images} --out {place / 'run'}"
        assert main(["validate", *words.split(), GOOD, POOR]) == 0
    return place


@pytest.fixture
def home(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENNAS_HOME", str(run / "home"))
    return run


def exported(place: Path, *words: str) -> int:
    return main(["export", "--study", str(place / "run"), "--task", str(place / "shapes"), *words])


def test_the_best_network_is_exported_and_counts_as_validate_did(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net"
    assert exported(home, "--out", str(out), "--raw-images", "--format", "json") == 0
    (entry,) = json.loads(capsys.readouterr().out)["networks"]
    frame = Study(home / "run").frame()
    accuracies = frame[frame.metric == "accuracy@shapes"].set_index("arch").value
    assert accuracies[entry["key"]] == accuracies.max()
    assert {path.name for path in out.iterdir()} == FILES | {"network_raw.onnx"}
    assert max(entry["difference_network.onnx"], entry["difference_network.py"]) < 1e-4
    assert (out / "labels.txt").read_text() == "bright bar\ndark disk\n"

    # predict.py knows no gennas, and gives the classes that were counted.
    files = sorted((home / "shapes" / "test").rglob("*.*"))
    words = [sys.executable, "-I", str(out / "predict.py"), "--json", *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    right = [result["class"] == Path(result["file"]).parent.name for result in results]
    counted = frame[(frame.metric == "test_accuracy@shapes") & (frame.arch == entry["key"])].value.item()
    assert np.mean(right) == pytest.approx(counted, abs=1e-12)
    assert "gennas" not in {
        line.split()[1] for line in (out / "predict.py").read_text().splitlines() if line[:5] == "from "
    }

    assert main(["predict", "--network", str(out), "--format", "json", *map(str, files)]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == results


def test_images_that_were_renamed_are_those_of_the_study(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home / "shapes", tmp_path / "renamed")
    words = ["export", "--study", str(home / "run"), "--task", str(tmp_path / "renamed"), "--out"]
    assert main([*words, str(tmp_path / "net")]) == 0
    assert "accuracy@shapes" in (tmp_path / "net" / "card.md").read_text()
    next((tmp_path / "renamed" / "val").rglob("*.png")).unlink()
    capsys.readouterr()
    assert main([*words, str(tmp_path / "other")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert re.fullmatch(
        r"error: --task is '.*/renamed' with other images \(48 train, 15 val, 24 test, crc32 \w{8}\) than those that "
        r".*/run was made with: 'shapes' \(48 train, 16 val, 24 test, crc32 \w{8}\); give the images of the run\.",
        line,
    )


def test_the_card_says_where_there_is_no_predict_py(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Preprocessing, "reads_files", False)
    assert exported(home, "--out", str(tmp_path / "net")) == 0
    assert not (tmp_path / "net" / "predict.py").exists()
    assert "There is no `predict.py`" in (tmp_path / "net" / "card.md").read_text()


def test_of_equal_accuracies_the_faster_network_is_the_best(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = StudyNetworks(Study(home / "run"), get_task(str(home / "shapes"), image_size=12))
    for order in (networks.keys, networks.keys[::-1]):
        rank = {key: float(place) for place, key in enumerate(order, start=1)}
        monkeypatch.setattr(networks, "values", lambda key, rank=rank: {ACCURACY: 0.5, "latency_ms@cpu": rank[key]})
        assert networks.best() == order[0]


def test_bad_images_are_named_and_the_others_classified(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(home, "--out", str(tmp_path / "net"), GOOD) == 0
    good = str(next((home / "shapes" / "test").rglob("*.png")))
    (tmp_path / "text.jpg").write_text("no image")
    capsys.readouterr()
    network = ["predict", "--network", str(tmp_path / "net")]
    assert main([*network, good, str(tmp_path / "text.jpg"), "gone.png"]) == 1
    out = capsys.readouterr().out
    assert "text.jpg: not an image" in out
    assert "gone.png: not there" in out
    assert good in out
    assert main([*network, "gone.png"]) == 2
    capsys.readouterr()
    assert main([*network, str(folder := home / "shapes" / "train")]) == 2
    assert f"Give the files in it: gennas predict --network {tmp_path / 'net'} {folder}/*" in capsys.readouterr().err
    assert main([*network]) == 2
    assert main(["predict", "--network", str(tmp_path), good]) == 2
    program = [sys.executable, "-I", str(tmp_path / "net" / "predict.py")]
    assert subprocess.run([*program, good, "gone.png"], capture_output=True).returncode == 1
    assert subprocess.run([*program, "gone.png"], capture_output=True).returncode == 2


def damaged(home: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the study, and the folder of its better network."""
    copy = tmp_path / "copy"
    shutil.copytree(home / "run", copy / "run")
    (copy / "shapes").symlink_to(home / "shapes")
    (folder,) = [
        path.parent for path in copy.glob("run/networks/*/arch.json") if json.loads(path.read_text())["key"] == GOOD
    ]
    return copy, folder


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, folder = damaged(home, tmp_path)
    out = ["--out", str(tmp_path / "net")]

    def refused(*words: str, place: Path = copy) -> str:
        assert exported(place, *out, *words) == 2
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]
        return capsys.readouterr().err

    other = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    assert "is not in the study" in refused(other)
    weights = load_file(folder / "network.safetensors")
    save_file({name: value * 1.5 for name, value in weights.items()}, folder / "network.safetensors")
    assert "computes something else than the trained network: logits differ by" in refused(GOOD)
    save_file({"stem.0.weight": weights["stem.0.weight"]}, folder / "network.safetensors")
    assert "holds the weights of another network" in refused(GOOD)
    facts = json.loads((folder / "arch.json").read_text())
    (folder / "arch.json").write_text(json.dumps(facts | {"key": POOR}))
    assert "holds the weights of another arch" in refused(GOOD)
    (folder / "arch.json").write_text("{")
    assert "is damaged or missing" in refused(GOOD)
    (folder / "network.safetensors").unlink()
    assert "has no trained weights" in refused(GOOD)
    shutil.rmtree(copy / "run" / "networks")
    assert "has no trained networks" in refused()
    (copy / "shapes").unlink()
    shutil.copytree(home / "shapes", copy / "shapes")
    next((copy / "shapes" / "val").rglob("*.png")).unlink()
    assert "give the images of the run" in refused(GOOD)


def test_other_folders_stay_as_they_are(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    assert exported(home, "--out", str(mine), GOOD) == 2
    assert "holds other things than an earlier export" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
    (mine / "notes.txt").unlink()
    for _ in range(2):
        assert exported(home, "--out", str(mine), GOOD) == 0
        assert {path.name for path in mine.iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_was_put_into_an_export_is_not_replaced_with_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "out"
    assert exported(home, "--out", str(place), GOOD) == 0
    assert json.loads((place / "arch.json").read_text())["files"] == sorted(path.name for path in place.iterdir())
    (place / "__pycache__").mkdir()
    assert exported(home, "--out", str(place), GOOD) == 0, capsys.readouterr().err
    assert not (place / "__pycache__").exists()
    (place / "notes.txt").write_text("mine")
    before = (place / "network.onnx").stat().st_mtime_ns
    assert exported(home, "--out", str(place), GOOD) == 2
    assert "holds other things than an earlier export (notes.txt)" in capsys.readouterr().err
    assert (place / "notes.txt").read_text() == "mine"
    assert (place / "network.onnx").stat().st_mtime_ns == before


def test_openvino_agrees_and_other_formats_are_unknown(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    out = tmp_path / "net"
    assert exported(home, "--out", str(out), "--formats", "openvino", GOOD) == 0
    assert {path.name for path in out.iterdir()} == FILES | {"network_openvino.xml", "network_openvino.bin"}
    assert "is the network for OpenVINO" in (out / "card.md").read_text()
    capsys.readouterr()
    assert exported(home, "--out", str(tmp_path / "other"), "--formats", "openvin", GOOD) == 2
    assert "Did you mean 'openvino'?" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_openvino_that_is_not_installed_leaves_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert exported(home, "--out", str(tmp_path / "net"), "--formats", "openvino", GOOD) == 2
    assert "pip install 'gennas[openvino]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
