"""Files of results: nothing that was computed is lost, and nothing that is not ours is overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gennas.cli.main import main
from gennas.files import check_writable
from gennas.studies.study import Study

KEY = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
SEARCH = ("search", "--table", "nasbench_graph", "--task", "cora", "--policy", "random", "--prior", "none")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def verbs(tiny_checkpoint: Path) -> dict[str, list[object]]:
    """Every verb with a file of results, without it."""
    return {
        "generate": ["generate", "--checkpoint", tiny_checkpoint, "--task", "cifar10", "-n", 1, "--strength", 0],
        "predict": ["predict", "--checkpoint", tiny_checkpoint, KEY],
        "hardware choose": ["hardware", "choose", "--checkpoint", tiny_checkpoint, "-n", 3],
        "evaluate generator": [
            "evaluate",
            "generator",
            "--checkpoint",
            tiny_checkpoint,
            "--draws",
            2,
            "--strengths",
            "[]",
        ],
    }


VERBS = ["generate", "predict", "hardware choose", "evaluate generator"]
#: Places where even root can write no file.
PLACES: dict[str, Callable[[Path], str]] = {
    "Permission denied": lambda folder: "/sys/result",
    "Not a directory": lambda folder: "a-file/result",
    "Is a directory": lambda folder: ".",
    "File name too long": lambda folder: "A" * 300,
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_result_that_cannot_be_stored_is_printed(run: Any, verbs: Any, verb: str) -> None:
    code, out, err = run(*verbs[verb], "--format", "json", "--out", "/sys/result")
    assert code == 2, err
    assert json.loads(out).get("archs", True)
    before, *_, last = err.strip().splitlines()
    assert before.startswith("cannot use /sys/result: ")
    assert before.endswith("The result will be printed only."), "said before the work"
    assert last.startswith("error: cannot use /sys/result: ")
    assert "Traceback" not in err
    assert "next:" not in err


@pytest.mark.parametrize("reason", [reason for reason in PLACES if reason != "Is a directory"])
def test_files_that_cannot_be_written_are_one_sentence(run: Any, tmp_path: Path, reason: str) -> None:
    (tmp_path / "a-file").write_text("mine")
    place = PLACES[reason](tmp_path)
    code, out, err = run(*SEARCH, "--budget", 2, "--out", "run", "--export", f"{place}.csv", "--format", "json")
    assert code == 2
    assert reason in err.strip().splitlines()[-1] or "Operation not permitted" in err
    if reason == "File name too long":
        assert not (tmp_path / "run").exists(), "that is known before the search"
    else:
        assert len(json.loads(out)["archs"]) == 1, "what was found is printed all the same"
        assert len(Study(tmp_path / "run").find()) > 0
    for words in (["export", "--draw", KEY], ["search", *SEARCH[1:], "--budget", 2]):
        code, out, err = run(*words, "--out", place)
        assert (code, out) == (2, "")
        assert err.startswith("error: "), err
        assert len(err.strip().splitlines()) == 1
        assert "internal error" not in err


@pytest.mark.parametrize("option", ["--task", "--checkpoint", "--evaluated", "--archs", "--config"])
def test_names_that_are_too_long(run: Any, option: str) -> None:
    code, out, err = run("predict", KEY, "--task", "digits", option, "A" * 300)
    assert (code, out) == (2, "")
    assert "File name too long" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "content",
    ['{"archs": []}', '{"made_by": "somebody", "archs": []}', "[1]", "mine", '{"archs":' + "[" * 100_000],
    ids=["another tool's", "somebody's", "a list", "notes", "deep"],
)
def test_nothing_of_others_is_overwritten(run: Any, verbs: Any, verb: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(content)
    code, out, err = run(*verbs[verb], "--out", "mine.json")
    assert (code, out) == (2, "")
    assert "mine.json already exists and " in err
    assert len(err.strip().splitlines()) == 1
    assert (tmp_path / "mine.json").read_text() == content


def test_results_of_the_same_verb_and_empty_files_are_replaced(run: Any, verbs: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    for _ in range(2):
        assert run(*verbs["predict"], "--out", "a.json")[0] == 0
    assert json.loads((tmp_path / "a.json").read_text())["made_by"] == "gennas predict"
    assert "is not a result of gennas generate" in run(*verbs["generate"], "--out", "a.json")[2]


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_exports_replace_exports_only(run: Any, ending: str, tmp_path: Path) -> None:
    export = tmp_path / f"rows.{ending}"
    for budget in (2, 3):
        assert run(*SEARCH, "--budget", budget, "--out", "run", "--export", export)[0] == 0
    theirs = pd.DataFrame({"arch": ["x"], "value": [1.0]})
    {"csv": theirs.to_csv, "parquet": theirs.to_parquet, "json": theirs.to_json}[ending](export)
    before = export.read_bytes()
    code, out, err = run(*SEARCH, "--budget", 4, "--out", "run", "--export", export)
    assert (code, out) == (2, "")
    assert "--export " in err
    assert "is not an export of evaluations; choose another file" in err
    assert export.read_bytes() == before
    assert len(Study(tmp_path / "run").proposals()) == 3, "refused before the search"


def test_an_export_with_another_ending_is_refused_before_the_search(run: Any, tmp_path: Path) -> None:
    code, out, err = run(*SEARCH, "--budget", 2, "--out", "run", "--export", "rows.txt")
    assert (code, out) == (2, "")
    assert "expected .parquet, .csv, .json or .db" in err
    assert not (tmp_path / "run").exists()


def test_checking_changes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "c.json")
    check_writable(tmp_path / ("a" * 255))
    assert os.listdir(tmp_path) == []
    for reason, place in PLACES.items():
        (tmp_path / "a-file").write_text("mine")
        path = tmp_path / place(tmp_path)
        with pytest.raises(OSError, match=f"{reason}|Operation not permitted") as error:
            check_writable(path)
        assert error.value.filename == str(path)
