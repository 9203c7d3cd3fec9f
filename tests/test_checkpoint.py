"""Checkpoint folders: found by name or path, whole or not there, and damage is told plainly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from gennas import part_files as module
from gennas.checkpoint import Checkpoint, checkpoints
from gennas.diffusion.generator import load_generator
from gennas.errors import DataMissingError, InvalidInputError, StudyError, UnknownNameError
from gennas.part_files import begin_part, parts_of, read_config, read_tensors, write_part
from gennas.predictors import load_predictor

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(3)}


def write(folder: Path, part: module.Part = "generator", **config: object) -> Path:
    return write_part(folder, part, config, TENSORS, {"seconds": 1.5}, "# card\n")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "checkpoints"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", space="nasbench201", seed=3)
    assert read_config(tmp_path / "mine", "generator") == {"format": 1, "space": "nasbench201", "seed": 3}
    tensors = read_tensors(tmp_path / "mine", "generator")
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]
    assert parts_of(tmp_path / "mine") == ("generator",)
    assert json.loads((folder / "metrics.json").read_text()) == {"seconds": 1.5}


def test_a_part_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, seed=1)

    def fails(path: Path, text: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(module, "write_text", fails)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, seed=2)
    assert parts_of(tmp_path) == ()


def test_names_and_paths(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / "mine")
    (home / "begun" / "generator").mkdir(parents=True)
    assert Checkpoint("mine").folder == home / "mine"
    assert "begun" not in checkpoints()
    write(tmp_path / "elsewhere")
    assert Checkpoint(str(tmp_path / "elsewhere")).folder == tmp_path / "elsewhere"
    with pytest.raises(UnknownNameError, match=r"unknown checkpoint 'mien'\. Did you mean 'mine'\?") as caught:
        Checkpoint("mien")
    assert all(name in str(caught.value) for name in checkpoints())
    assert "A folder of 'gennas pretrain' works too." in str(caught.value)
    monkeypatch.chdir(home)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataMissingError, match=r"is not a checkpoint: .* gennas pretrain generator --out"):
        Checkpoint(str(tmp_path / "empty"))


def test_a_missing_part_says_what_there_is(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DataMissingError, match=r"has no predictor \(it has generator\)\. Make one: gennas pretrain"):
        read_config(tmp_path, "predictor")
    with pytest.raises(DataMissingError, match=r"has no generator \(it has nothing\)"):
        read_config(tmp_path / "nowhere", "generator")


def test_another_format_is_refused(tmp_path: Path) -> None:
    config = write(tmp_path) / "config.json"
    config.write_text(json.dumps({"format": 99}))
    with pytest.raises(InvalidInputError, match=r"has format 99, this gennas reads 1\. Train the generator again"):
        read_config(tmp_path, "generator")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00"])
def test_a_damaged_config(tmp_path: Path, content: bytes) -> None:
    (write(tmp_path) / "config.json").write_bytes(content)
    with pytest.raises(DataMissingError, match=r"config\.json cannot be read: .*Train the generator again"):
        read_config(tmp_path, "generator")


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "gone"])
@pytest.mark.parametrize("part", ["generator", "predictor"])
def test_damaged_weights(tiny_checkpoint: Path, tmp_path: Path, damage: str, part: str) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    path = folder / part / "model.safetensors"
    whole = path.read_bytes()
    contents = {"cut": whole[: len(whole) // 2], "empty": b"", "noise": b"no tensors at all, only words"}
    path.unlink() if damage == "gone" else path.write_bytes(contents[damage])
    load = load_generator if part == "generator" else load_predictor
    with pytest.raises(DataMissingError, match=rf"model\.safetensors cannot be read: .*Train the {part} again"):
        load(folder)


def test_begin_claims_a_part_for_its_settings(tmp_path: Path) -> None:
    settings = {"space": "nasbench201", "training": {"steps": 5}, "seed": 0}
    assert begin_part(tmp_path, "generator", settings)
    assert begin_part(tmp_path, "generator", settings), "what was begun goes on"
    assert begin_part(tmp_path, "predictor", {"seed": 9}), "the other part is apart"
    with pytest.raises(StudyError, match=r"made with other settings: seed was 0, is now 1\. Choose another `out`"):
        begin_part(tmp_path, "generator", {**settings, "seed": 1})
    write(tmp_path, **settings)
    assert not (tmp_path / "generator" / "begun.json").exists()
    assert not begin_part(tmp_path, "generator", settings), "it is trained"
    with pytest.raises(StudyError, match=r"training.steps was 5, is now 6; seed was 0, is now 1"):
        begin_part(tmp_path, "generator", {**settings, "training": {"steps": 6}, "seed": 1})


@pytest.mark.parametrize("content", ["", "[]"])
@pytest.mark.parametrize("name", ["begun.json", "config.json"])
def test_begin_finds_a_damaged_file(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "generator").mkdir()
    (tmp_path / "generator" / name).write_text(content)
    with pytest.raises(DataMissingError, match=rf"{name} cannot be read: .*Train the generator again"):
        begin_part(tmp_path, "generator", {"seed": 0})


def test_begin_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInputError, match="is a file; expected a folder"):
        begin_part(tmp_path / "file", "generator", {"seed": 0})


def test_parts_of_different_trainings_do_not_fit(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    shutil.copy(folder / "predictor" / "model.safetensors", folder / "generator" / "model.safetensors")
    with pytest.raises(DataMissingError, match=r"do not fit together: .*Train the generator again"):
        load_generator(folder)
    config = json.loads((folder / "predictor" / "config.json").read_text())
    del config["metrics"]
    (folder / "predictor" / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataMissingError, match="do not fit together: KeyError 'metrics'"):
        load_predictor(folder)
