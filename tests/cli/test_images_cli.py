"""A folder of images on the command line: what is said, once; what is stored; images that move."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.cli.images import last_reading
from gennas.cli.main import main
from gennas.commands import command
from gennas.predictors.deployment import DeploymentPredictor
from gennas.tasks import base, get_task

KEY = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.fixture
def shades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "here" / "shades" / name / "more").mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "here" / "shades" / name / f"{number}.webp", lossless=True)
    (tmp_path / "here" / "shades" / "dark" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    Image.new("RGB", (9, 9)).save(tmp_path / "here" / "shades" / "dark" / "more" / "6.bmp")
    return tmp_path / "here" / "shades"


def validate(task: object, *words: str) -> int:
    settings = "--image-size 8 --skeleton channels=2,cells=1 --recipe.epochs 1 --latency.seconds 0.05 --out run"
    return main(["validate", "--task", str(task), *settings.split(), *words, KEY])


def test_what_is_said_and_stored_of_images(shades: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(shades, "--debug") == 0
    out, err = capsys.readouterr()
    for text in (
        "shades: images of 2 classes read: 12 train; files skipped: 2",
        "dark   6 train; skipped: in a subfolder 1, damaged 1",
        "Give --nested to read those in subfolders",
        "images of 16x12 are shrunk to 8x8, without crop or padding, their aspect ratio is not kept; "
        "for more detail give --image-size",
        "no validation split: 20% of every class",
        "skipped dark/cut.jpg: damaged",
    ):
        assert (out + err).count(text) == 1, text
        assert text in err
    (document,) = Path("run/networks").glob("*/arch.json")
    facts = json.loads(document.read_text())
    assert facts["class_names"] == ["dark", "light"]
    assert (facts["preprocessing"]["size"], facts["preprocessing"]["channels"]) == ([8, 8], "RGB")
    assert len(facts["mean"]) == len(facts["std"]) == 3

    moved = shades.parents[1] / "there" / "shades"
    moved.parent.mkdir()
    shades.rename(moved)
    assert validate(moved, "--format", "json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["archs"][0]["reused"]
    assert any(note.startswith("2 files skipped; ") for note in document["notes"])
    assert err.count("2 files skipped; ") == 1

    assert validate(moved, "--nested") == 2
    assert "task.images was '10 train, 2 val" in capsys.readouterr().err


def test_generate_names_files_that_will_be_skipped(
    shades: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--task", shades, "--checkpoint", tiny_checkpoint, "-n", 2, "--strength", 0]
    assert main([str(word) for word in words]) == 0
    out = capsys.readouterr().out
    assert "note: 2 files skipped; in a subfolder: 1 (dark/more/6.bmp); damaged: 1 (dark/cut.jpg). Give --nested" in out


def test_what_was_said_while_images_were_read_is_not_said_again(
    shades: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--task", shades, "--checkpoint", tiny_checkpoint, "--image-size", 8]
    # As a forecast does, which takes a checkpoint that knows other tasks.
    undeployed = DeploymentPredictor.values
    monkeypatch.setattr(
        DeploymentPredictor,
        "values",
        lambda self, *given: get_task(str(shades), image_size=8).splits() and undeployed(self, *given),
    )
    for verb in (["generate", "-n", 2], ["predict", KEY]):
        base._read.cache_clear()
        assert main([str(word) for word in (*verb, *words)]) == 0
        out, err = capsys.readouterr()
        for text in ("no validation split: 20%", "for more detail give --image-size"):
            assert text in err
            assert text not in out


def test_a_class_whose_images_are_nested_names_the_flag(shades: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (shades / "dark").glob("*.*"):
        file.rename(shades / "dark" / "more" / file.name)
    assert validate(shades) == 2
    assert "no images for dark (8 in a subfolder: give --nested to read them)" in capsys.readouterr().err


def test_a_command_names_a_folder_that_is_not_utf8() -> None:
    name = os.fsdecode(b"it's\\t\xe2sk")
    printed = command("validate", task=name, top=3)
    assert printed == r"gennas validate --task $'it\'s\\t\xe2sk' --top 3"
    shell = ["bash", "-c", f"printf %s {printed.split(' ', 3)[3].removesuffix(' --top 3')}"]
    assert subprocess.run(shell, capture_output=True, check=True).stdout == os.fsencode(name)


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_names_that_a_stream_cannot_encode_are_escaped(encoding: str) -> None:
    code = "import os; from gennas.cli.streams import check_streams; check_streams(); print(os.fsdecode(b'\\xff'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}
    )
    assert (done.returncode, done.stdout) == (0, b"\\udcff\n")


def test_of_several_readings_the_last_is_logged(shades: Path, caplog: pytest.LogCaptureFixture) -> None:
    base._read.cache_clear()
    task = get_task(str(shades), image_size=8)
    with caplog.at_level(logging.INFO, logger="gennas"):
        with last_reading():
            task.splits()
            task.resized(12).splits()
            assert not caplog.messages
        assert sum("images of 2 classes read" in line for line in caplog.messages) == 1
        (line,) = [line for line in caplog.messages if "shrunk" in line]
        assert "shrunk to 12x12" in line
        caplog.clear()
        with last_reading():
            task.resized(9).splits()
        assert any("shrunk to 9x9" in line for line in caplog.messages)
