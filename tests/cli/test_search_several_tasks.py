"""`gennas search` for two tasks as a user types it: trained for both, resumed, refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from gennas.cli.main import main


@pytest.fixture
def search(capsys: pytest.CaptureFixture[str], shades: Path, tmp_path: Path) -> Any:
    def run(*words: object) -> tuple[int, str, str]:
        place = ["--task", shades, "--image-size", 8, "--skeleton", "channels=4,cells=1", "--recipe.epochs", 1]
        base = ["search", *place, "--policy", "random", "--budget", 2, "--out", tmp_path / "run"]
        capsys.readouterr()
        code = main([str(word) for word in (*base, *words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_networks_for_two_tasks(search: Any, tmp_path: Path) -> None:
    words = ["--task", "digits", "--objective", "accuracy, -latency_ms@cpu", "--format", "json"]
    code, out, err = search(*words)
    assert code == 0, err
    document = json.loads(out)
    assert (document["proposed"], document["evaluated"], document["failed"]) == (2, 2, 0)
    assert list(document["tasks"]) == ["shades", "digits"]
    names = {"accuracy@shades", "accuracy@digits", "latency_ms@cpu"}
    for task, folder in (("shades", tmp_path / "run"), ("digits", tmp_path / "run" / "tasks" / "digits")):
        for entry in document["tasks"][task]:
            assert names <= set(entry["evaluated"])
            assert Path(entry["folder"]).parent == folder / "networks"
            facts = json.loads((Path(entry["folder"]) / "arch.json").read_text())
            assert (facts["task"], facts["num_classes"]) == (task, 2 if task == "shades" else 10)
    assert 1 <= document["for_all_tasks"][0]["mean_rank"] <= 2
    assert document["archs"][0]["key"] in {entry["key"] for entry in document["for_all_tasks"]}
    assert "Good for all tasks" in (tmp_path / "run" / "report.html").read_text()
    again = json.loads(search(*words)[1])
    assert (again["tasks"], again["for_all_tasks"]) == (document["tasks"], document["for_all_tasks"])
    code, _, err = search(*words[2:])
    assert code == 2
    assert "others" in err
    out = tmp_path / "out"
    digits = ["export", "--study", tmp_path / "run", "--task", "digits", "--out", out]
    assert main([str(word) for word in digits]) == 0
    assert any(path.suffix == ".onnx" for path in out.rglob("*"))


def test_a_network_is_exported_for_each_task(search: Any, tmp_path: Path) -> None:
    """The same arch may be best for both: neither export may take the place of the other."""
    code, _, err = search("--task", "digits", "--budget", 1, "--format", "json")
    assert code == 0, err
    run = tmp_path / "run"
    assert err.splitlines()[-1] == f"next: gennas export --study {run} && gennas export --study {run} --task digits"
    for printed in err.splitlines()[-1].removeprefix("next: ").split(" && "):
        assert main(shlex.split(printed)[1:]) == 0
    for place, classes in ((run, 2), (run / "tasks" / "digits", 10)):
        (folder,) = (place / "exports").iterdir()
        assert len((folder / "labels.txt").read_text().splitlines()) == classes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "digit"], "unknown task 'digit'"),
        (["--task", "digits", "--task", "digits"], "--task names 'digits' twice"),
        (["--task", "cifar100"], "task 'cifar100' has images of 32x32, not 8"),
        (["--task", "digits", "--objective", "accuracy@shades"], "--objective is 'accuracy@shades', which has nothing"),
    ],
)
def test_bad_input_is_one_line(search: Any, tmp_path: Path, words: list[object], message: str) -> None:
    code, out, err = search(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "run" / "study.sqlite").exists()
