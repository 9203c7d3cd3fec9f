"""`gennas collect`: said before, resumed, and errors that name the flag."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gennas.cli.main import main

KEYS = (
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|",
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|",
)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    (tmp_path / "archs.txt").write_text("\n".join(KEYS))
    return [
        *("collect", "--skeleton", "channels=2,cells=1", "--tasks", "tiny-counts-*", "--recipe.epochs", "1"),
        *("--out", str(tmp_path / "run")),
    ]


def test_it_says_what_it_will_do_and_resumes(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archs = ["--archs", str(tmp_path / "archs.txt")]
    assert main([*words, *archs]) == 0
    first = capsys.readouterr()
    assert "2 tasks, 4 trainings with 1 epochs: 0 are there, 4 are left" in first.err
    assert "one after the other on cpu, in about " in first.err or " at once on cuda" in first.err
    assert "tiny-counts-five" in first.out
    assert f"wrote {tmp_path / 'run' / 'trainings.parquet'}" in first.out
    assert f"next: gennas list evaluations --study {tmp_path / 'run'}" in first.out

    assert main([*words, *archs, "--seeds", "2", "--format", "json"]) == 0
    second = capsys.readouterr()
    document = json.loads(second.out)
    assert (document["wanted"], document["trained"], document["failed"]) == (8, 4, 0)
    assert [task["trainings"] for task in document["tasks"]] == [4, 4]
    assert "8 trainings with 1 epochs: 4 are there, 4 are left" in second.err
    assert main(["list", "evaluations", "--study", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "Give --archs FILE, or --count for random ones"),
        (["--count", "2", "--archs", "-"], "and not both"),
        (["--count", "0"], "--count is 0; must be at least 1"),
        (["--count", "1", "--tasks", "tiny-nothing-*"], "--tasks has 'tiny-nothing-*', and no task is called so"),
        (["--count", "1", "--at-once", "0"], "--at-once is 0; must be at least 1"),
        (["--count", "1", "--tasks", ""], "--tasks is empty"),
    ],
)
def test_errors_name_the_flag(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    assert message in capsys.readouterr().err
