"""Every spelling of a command line becomes the one that the parser reads."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gennas.cli.main import build_parser, main
from gennas.cli.words import normalised
from gennas.errors import InvalidInputError
from gennas.training.recipe import RECIPES, Recipe


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("generate --image-size 8", ["generate", "--image_size", "8"]),
        ("generate --image_size=8", ["generate", "--image_size=8"]),
        ("search --recipe.batch-size 4", ["search", "--recipe.batch_size", "4"]),
        ("search --objective -latency_ms@pixel3", ["search", "--objective=-latency_ms@pixel3"]),
        ("search --objective accuracy -n 3", ["search", "--objective", "accuracy", "-n", "3"]),
        ("search --objective -n 3", ["search", "--objective", "-n", "3"]),
        ("evaluate generator --draws -5", ["evaluate", "generator", "--draws=-5"]),
        ("predict --archs - --debug -x", ["predict", "--archs=-", "--debug", "-x"]),
        ("export --draw -key", ["export", "--draw", "-key"]),
        ("export -- --draw -key", ["export", "--", "--draw", "-key"]),
        ("search --method random", ["search", "--policy", "random"]),
        ("bench search --methods=random,gp", ["bench", "search", "--policies=random,gp"]),
        ("evaluate-generator --seed 2", ["evaluate", "generator", "--seed", "2"]),
        ("list evaluations --out runs/x", ["list", "evaluations", "--study", "runs/x"]),
        ("export --out-of-here x", ["export", "--out_of_here", "x"]),
        ("search --workers.ray auto --workers.count 2", ["search", "--ray", "auto", "--workers", "2"]),
        ("search --storage.folder runs/x", ["search", "--out", "runs/x"]),
        ("", []),
    ],
)
def test_spellings(typed: str, read: list[str]) -> None:
    assert normalised(typed.split()) == read


def test_keys_of_a_config_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("image-size: 8\nmethod: random\nrecipe:\n  batch-size: 4\nwhere: [a <= 1]\n")
    expected = {"image_size": 8, "policy": "random", "recipe": {"batch_size": 4}, "where": ["a <= 1"]}
    separate = normalised(["search", "--config", str(tmp_path / "a.yaml"), "--seed", "1"])
    assert (separate[:2], json.loads(separate[2]), separate[3:]) == (["search", "--config"], expected, ["--seed", "1"])
    joined = normalised(["search", f"--config={tmp_path / 'a.yaml'}"])
    assert (joined[1], json.loads(joined[2])) == ("--config", expected)


def test_archs_and_names_of_a_config_file_are_words(tmp_path: Path) -> None:
    """The parser takes them from the command line only, and said nothing of those in a file."""
    file = tmp_path / "a.yaml"
    file.write_text("draw: true\nkey: ['|a~0|', 5]\n")
    read = normalised(["export", "--config", str(file)])
    assert (json.loads(read[2]), read[3:]) == ({"draw": True}, ["|a~0|", "5"])
    file.write_text("name: phone\ncsv: a.csv\n")
    assert normalised(["hardware", "add", "--config", str(file)])[4:] == ["phone"]
    file.write_text("where: params_m <= 1\n")
    assert json.loads(normalised(["generate", "--config", str(file)])[2]) == {"where": ["params_m <= 1"]}


@pytest.mark.parametrize("value", ["null", "{a: b}", "[[a]]", "[{a: b}]", "true", "[null]"])
@pytest.mark.parametrize("name", ["where", "key", "kind"])
def test_texts_of_a_config_file_are_texts(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / "a.yaml").write_text(f"{name}: {value}\n")
    with pytest.raises(InvalidInputError, match=rf"a\.yaml: {name} is .*; expected a text, or a list of texts\."):
        normalised(["generate", "--config", str(tmp_path / "a.yaml")])


def test_groups_in_a_config_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("workers: {count: 2, ray: auto}\nlatency: {batch: 8}\nstorage: {cache: c}\n")
    read = json.loads(normalised(["search", "--config", str(tmp_path / "a.yaml")])[2])
    assert read == {"workers": 2, "ray": "auto", "latency": {"batch": 8}, "cache": "c"}
    (tmp_path / "a.yaml").write_text("workers: 2\n")
    assert json.loads(normalised(["search", "--config", str(tmp_path / "a.yaml")])[2]) == {"workers": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "cannot be read"),
        ("words", "holds no options"),
        ("[" * 100_000, "cannot be read: it is nested too deeply"),
        ("a: &a [*a]", "cannot be read: it is nested too deeply"),
        ("&a {b: *a}", "cannot be read: it is nested too deeply"),
        ("a: 2026-13-45", "cannot be read: month must be in"),
        ("a: \xff", "cannot be read: 'utf-8' codec"),
        ("\0", "cannot be read: unacceptable character"),
    ],
)
def test_config_files_that_cannot_be_read(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInputError, match=reason):
        normalised(["search", "--config", str(tmp_path / "a.yaml")])
    with pytest.raises(InvalidInputError, match=r"--config nowhere.yaml cannot be read"):
        normalised(["search", "--config", "nowhere.yaml"])


@pytest.mark.parametrize(
    "typed",
    [
        "--recipe thorough --recipe.epochs 5 --seed 1",
        "--recipe.epochs 5 --seed 1 --recipe=thorough",
    ],
)
def test_a_recipe_by_name_comes_before_what_changes_it(typed: str) -> None:
    read = normalised(["validate", *typed.split()])
    assert read[:2] == ["validate", "--recipe"]
    assert json.loads(read[2]) == asdict(RECIPES["thorough"])
    assert read[3:] == ["--recipe.epochs", "5", "--seed", "1"]
    parsed = build_parser().parse_args([*read, "--task", "digits", "--out", "x"])
    assert Recipe.of(vars(parsed.validate.recipe)) == replace(RECIPES["thorough"], epochs=5)


def test_a_recipe_in_files(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: standard\nmixup: 0.2\n")
    mine = asdict(replace(RECIPES["standard"], mixup=0.2))
    assert json.loads(normalised(["search", "--recipe", str(tmp_path / "mine.yaml")])[2]) == mine
    for text in (f"recipe: {tmp_path / 'mine.yaml'}", "recipe: {base: standard, mixup: 0.2}"):
        (tmp_path / "a.yaml").write_text(text)
        assert json.loads(normalised(["search", "--config", str(tmp_path / "a.yaml")])[2]) == {"recipe": mine}


def test_an_unknown_recipe_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--task", "digits", "--out", "x", "--recipe", "thoro"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: unknown recipe 'thoro'. Did you mean 'thorough'?")
    assert error.count("\n") == 1
    assert main(["list", "--recipe", "thorough"]) == 2
    assert "--recipe is not an option of gennas list" in capsys.readouterr().err
