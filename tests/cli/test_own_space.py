"""A space of the user's own: named once on the command line, its checkpoint is understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gennas.cli.main import main
from gennas.spaces import SPACES

FILE = """
from gennas.spaces.nasbench201.space import NasBench201


class Narrow(NasBench201):
    name = "narrow"
"""
QUICK = ("--training.steps", "20", "--training.batch-size", "32", "--training.width", "8", "--training.layers", "1")


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))
    (tmp_path / "narrow.py").write_text(FILE)
    return f"{tmp_path / 'narrow.py'}:Narrow"


def test_a_generator_of_an_own_space_is_used_by_naming_the_space(
    narrow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "checkpoint"
    assert main(["pretrain", "generator", "--space", narrow, "--out", str(out), *QUICK]) == 0
    config: dict[str, Any] = json.loads((out / "generator" / "config.json").read_text())
    assert config["space"] == "narrow"
    # Another process knows nothing of it, and a file's word is not enough.
    monkeypatch.setattr(SPACES, "_entries", {k: v for k, v in SPACES._entries.items() if k != "narrow"})
    capsys.readouterr()
    wanted = ["evaluate", "generator", "--checkpoint", str(out), "--draws", "50", "--format", "json"]
    assert main(wanted) == 2
    assert "--space path/to/file.py:" in capsys.readouterr().err
    assert main([*wanted, "--space", narrow]) == 0
    assert json.loads(capsys.readouterr().out)["unconditional"]["valid_rate"] > 0.9
    assert main([*wanted, "--space", "nasbench101"]) == 2
