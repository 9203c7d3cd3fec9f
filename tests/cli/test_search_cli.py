"""`gennas search` as a user types it: real trainings in worker processes, resumed, exported, refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
import pytest

from gennas.cli.main import main
from gennas.studies.study import Study


@pytest.fixture
def search(capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, shades: Path, tmp_path: Path) -> Any:
    def run(*words: object, out: str = "run") -> tuple[int, str, str]:
        place = ["--task", shades, "--image-size", 8, "--skeleton", "channels=4,cells=1", "--recipe.epochs", 1]
        base = ["search", *place, "--checkpoint", tiny_checkpoint, "--out", tmp_path / out, "--format", "json"]
        capsys.readouterr()
        code = main([str(word) for word in (*base, *words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_trained_networks_that_nothing_beats(search: Any, tmp_path: Path) -> None:
    words = [
        "--objective",
        "accuracy, -latency_ms@cpu",
        "--where",
        "params_m <= 0.02",
        "--workers",
        2,
        "--timeout",
        300,
        "--options",
        "sought=300",
    ]
    table = tmp_path / "evaluations.parquet"
    code, out, err = search(*words, "--budget", 4, "--export", table)
    assert code == 0, err
    document = json.loads(out)
    assert (document["proposed"], document["evaluated"], document["failed"]) == (4, 4, 0)
    frame = pd.read_parquet(table)
    assert set(frame[frame.metric == "accuracy@shades"].arch) == set(frame.arch)
    assert frame.arch.nunique() == 4
    assert frame[frame.metric == "params_m"].value.max() <= 0.02
    for entry in document["archs"]:
        assert {"accuracy@shades", "latency_ms@cpu", "params_m", "macs_m"} <= set(entry["evaluated"])
        assert (Path(entry["folder"]) / "network.onnx").is_file()
        assert (Path(entry["folder"]) / "network.safetensors").is_file()
    # Repeated, it evaluates nothing again, and says the same; a larger budget goes on.
    again = json.loads(search(*words, "--budget", 4, "--export", table)[1])

    def lasting(told: dict[str, Any]) -> dict[str, Any]:
        """Without what is said of the moment of a measurement."""
        return {**told, "notes": [note for note in told["notes"] if "busy" not in note]}

    assert lasting(again) == lasting(document)
    pd.testing.assert_frame_equal(pd.read_parquet(table), frame)
    more = json.loads(search(*words, "--budget", 6)[1])
    assert (more["proposed"], more["evaluated"]) == (6, 6)
    code, _, err = search(*words, "--budget", 6, "--seed", 1)
    assert code == 2
    assert "seed was 0, is now 1" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", 0], "--budget is 0; must be at least 1"),
        (["--workers", 0], "--workers is 0; must be at least 1"),
        (["--timeout", 0], "--timeout is 0"),
        (["--policy", "anealing"], "unknown policy 'anealing'"),
        (["--method", "anealing"], "unknown policy 'anealing'"),
        (["--options", "stength=3"], "Did you mean 'strength'?"),
        (["--options", "strength"], "--options has 'strength'; expected name=value"),
        (["--objective", "accuracy, -latency_ms@pixel3"], "latency_ms@pixel3 cannot be evaluated here"),
        (["--objective", "acuracy"], "unknown metric 'acuracy'"),
        (["--table", "nasbench202"], "unknown table 'nasbench202'"),
        (["--table", "nasbench201"], "accuracy@shades"),
    ],
)
def test_bad_input_is_one_line(search: Any, tmp_path: Path, words: list[object], message: str) -> None:
    code, out, err = search(*words)
    assert code == 2
    assert message in err
    assert out == ""
    *said, last = err.splitlines()
    assert last.startswith("error: ")
    # Before it, at most what was read.
    assert not said or said[0] == "shades: images of 2 classes read: 20 train; files skipped: 0"
    assert not (tmp_path / "run" / "study.sqlite").exists()


def following(told: str) -> list[list[str]]:
    """The commands of the last line, as a shell reads them."""
    line = told.splitlines()[-1]
    assert line.startswith("next: ")
    return [shlex.split(one)[1:] for one in line.removeprefix("next: ").split(" && ")]


def test_a_search_that_trained_is_followed_by_the_export_of_its_network(search: Any, tmp_path: Path) -> None:
    """The printed command works as it is."""
    code, out, err = search("--policy", "random", "--budget", 1)
    assert code == 0, err
    assert following(err) == [["export", "--study", str(tmp_path / "run")]]
    assert main(*following(err)) == 0
    (folder,) = (tmp_path / "run" / "exports").iterdir()
    assert json.loads(out)["archs"][0]["key"] == json.loads((folder / "arch.json").read_text())["key"]


def test_what_nothing_trained_is_drawn_outside_the_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["search", "--table", "nasbench_graph", "--task", "cora", "--policy", "random", "--budget", "3"]
    assert main([*words, "--out", "run"]) == 0
    before = set((tmp_path / "run").iterdir())
    assert main(*following(capsys.readouterr().out)) == 0
    assert [path.suffix for path in (tmp_path / "drawings").iterdir()] == [".svg"]
    assert set((tmp_path / "run").iterdir()) == before


def test_a_search_that_trained_nothing_on_images_is_followed_by_a_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["search", "--task", "digits", "--image-size", "8", "--objective=-macs_m", "--policy", "random"]
    assert main([*words, "--skeleton", "channels=4,cells=1", "--budget", "3", "--out", "run"]) == 0
    told = capsys.readouterr().out
    ((verb, key, *options),) = following(told)
    assert verb == "validate"
    assert key in told.partition("next: ")[0]
    named = dict(zip(options[::2], options[1::2], strict=True))
    expected = {"--task": "digits", "--out": "run-trained", "--skeleton": "channels=4,cells=1", "--image-size": "8"}
    assert named.items() >= expected.items()


def test_a_folder_has_one_search_at_a_time(search: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run" / "study.lock"):
        code, _, err = search("--budget", 2)
    assert code == 2
    assert "another process is writing to" in err


def test_rows_in_a_database_are_where_the_command_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'rows.sqlite'}"
    words = ["search", "--table", "nasbench_graph", "--space", "nasbench_graph", "--task", "cora", "--policy", "random"]
    words += ["--database", url, "--out", str(tmp_path / "run")]
    for budget in (3, 4):
        assert main([*words, "--budget", str(budget)]) == 0
        assert f"wrote {tmp_path / 'rows.sqlite'}" in capsys.readouterr().out
        assert not (tmp_path / "run" / "study.sqlite").exists()
        assert len(Study(tmp_path / "run", url).proposals()) == budget


DIVERGES = ["--recipe.learning_rate", "1e30", "--recipe.epochs", 2]


def test_a_search_of_which_everything_failed_says_why_and_gives_no_other_advice(search: Any) -> None:
    code, out, err = search("--policy", "random", "--budget", 1, *DIVERGES)
    assert code == 1
    assert "1 of 1 evaluations failed, with: training diverged" in err
    assert "lower the learning rate (1e+30)" in err
    assert "bound" not in err
    assert "next:" not in err
    assert json.loads(out)["archs"] == []


def test_a_validation_that_failed_names_nothing_that_is_not_there(
    capsys: pytest.CaptureFixture[str], shades: Path, tmp_path: Path
) -> None:
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
    words = ["validate", "--task", shades, "--image-size", 8, "--skeleton", "channels=4,cells=1"]
    code = main([str(word) for word in (*words, *DIVERGES, "--out", tmp_path / "run", cell)])
    told = capsys.readouterr()
    assert code == 1
    assert f"{cell} failed: training diverged" in told.out
    wrote = [line.removeprefix("wrote ") for line in told.out.splitlines() if line.startswith("wrote ")]
    assert wrote == [str(tmp_path / "run" / name) for name in ("study.sqlite", "report.html")]
    assert "next:" not in told.out


def test_limits_that_nothing_keeps_end_with_1_and_no_advice_that_cannot_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "--table", "nasbench_graph", "--task", "cora", "--policy", "random", "--budget", "20"]
    code = main([*words, "--where", "accuracy@cora >= 0.99", "--out", str(tmp_path / "run")])
    told = capsys.readouterr()
    assert code == 1
    assert "archs that were looked at keeps 'accuracy@cora >= 0.99'; the nearest has" in told.out
    assert "next:" not in told.out
    code = main([*words, "--where", "params_m <= 1e-6", "--out", str(tmp_path / "costs")])
    assert code == 2
    assert "keeps 'params_m <= 1e-06'" in capsys.readouterr().err
    assert not (tmp_path / "costs").exists()


def test_what_was_written_is_named_as_the_folder_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["search", "--table", "nasbench_graph", "--task", "cora", "--policy", "random", "--budget", "3"]
    for out in ("runs/mine", str(tmp_path / "other")):
        assert main([*words, "--out", out]) == 0
        assert f"wrote {out}/study.sqlite" in capsys.readouterr().out.splitlines()
