"""`gennas report` as a user types it, and the page at the end of a search."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from report_runs import data_of, write_study

from gennas.cli.main import main
from gennas.cli.typed import typed, typed_command
from gennas.studies.study import Study

SEARCH = ["search", "--table", "nasbench_graph", "--space", "nasbench_graph", "--task", "cora", "--policy", "random"]


def test_a_search_ends_with_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = [*SEARCH, "--budget", "4", "--out", str(out)]
    assert main(words) == 0
    assert f"wrote {out / 'report.html'}" in capsys.readouterr().out.splitlines()
    page = (out / "report.html").read_text()
    frame = Study(out).frame()
    column = frame[frame["metric"] == "accuracy@cora"].set_index("arch")["value"]
    archs = {arch["key"]: arch for arch in data_of(page)["archs"].values()}
    assert {key: arch["values"]["accuracy@cora"] for key, arch in archs.items()} == column.to_dict()
    for key, arch in archs.items():
        assert shlex.split(arch["command"])[:3] == ["gennas", "export", key]
    # What was typed is remembered, once per time.
    assert main([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(out / "report.html")
    assert [shlex.split(one.command)[1:] for one in Study(out).sessions()] == [words, [*words, "--format", "json"]]


def test_a_search_whose_page_cannot_be_written_is_done_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*SEARCH, "--budget", "2", "--out", str(out)]) == 0
    (out / "report.html").write_text("mine")
    capsys.readouterr()
    assert main([*SEARCH, "--budget", "3", "--out", str(out)]) == 0
    told = capsys.readouterr()
    (line,) = [line for line in told.err.splitlines() if "no report was written" in line]
    assert "already exists and is no page of gennas report" in line
    assert f"gennas report --study {out}" in line
    assert "report.html" not in [line for line in told.out.splitlines() if line.startswith("wrote")][-1]
    assert (out / "report.html").read_text() == "mine"
    assert len(Study(out).proposals()) == 3


def test_report_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path / "run", 4)
    assert main(["report", "--study", str(tmp_path / "run")]) == 0
    assert f"wrote {tmp_path / 'run' / 'report.html'}" in capsys.readouterr().out
    page = tmp_path / "pages" / "mine.html"
    assert main(["report", "--study", str(tmp_path / "run"), "--out", str(page), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(page)
    assert page.is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--study", "missing"], "--study missing is no folder; expected the run folder"),
        (["--study", "empty"], "empty is not a study: it has no config.yaml"),
        (["--study", "run", "--task", "nowhere/"], "no folder of images at nowhere"),
        (["--study", "run", "--out", "run"], "--out run is a folder; expected a file"),
        (["--study", "run", "--out", "run/study.sqlite"], "run/study.sqlite already exists and is no page"),
        (["--study", "run", "--out", "run/config.yaml/page.html"], "Not a directory"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_study(tmp_path / "run", 2)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert main(["report", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    *_, last = told.err.splitlines()
    assert last.startswith("error: ")
    assert message in last.replace(str(tmp_path) + "/", "")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_no_password_is_remembered() -> None:
    words = ["search", "--database", "postgresql://me:hunter2@host/runs", "--cache=sqlite:///a.sqlite?password=hunter2"]
    words += ["--ray", "ray://head:10001", "--where", "params_m <= 0.5", "--study", "odd://me:hunter2@host"]
    with typed(words):
        assert "hunter2" not in typed_command()
        assert "'params_m <= 0.5'" in typed_command()
        assert "ray://head:10001" in typed_command()
        assert "postgresql://me:***@host/runs" in typed_command()
    assert typed_command() == ""
