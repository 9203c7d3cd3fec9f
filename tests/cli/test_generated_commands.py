"""Twenty commands with generated inputs: exit code 0 or 2, and a sentence; ten thousand are run by the script."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import gennas.cli.main as program

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_commands.py"


@pytest.fixture
def fuzz() -> Any:
    spec = importlib.util.spec_from_file_location("fuzz_commands", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_twenty_generated_commands(fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz.prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(program, "build_parser", cache(program.build_parser))
    # Nothing is interrupted on a machine of ordinary speed: half an import would break what follows.
    ended = [fuzz.run_here(words, seconds=60) for words in fuzz.inputs(20, seed=2)]
    assert [(one.words, one.defect, one.err[-500:]) for one in ended if one.defect] == []
    assert {one.code for one in ended} >= {0, 2}


def test_what_counts_as_a_defect(fuzz: Any) -> None:
    ended = fuzz.Ended
    assert ended(["a"], 2, "", "note\nerror: --n is 0.\n").defect == ""
    assert ended(["a"], 0, "x", "").defect == ""
    assert ended(["a"], 2, "", "Killed\n").defect == "no sentence"
    assert ended(["a"], 2, "", "error: x\nTraceback (most recent call last):\n").defect == "a defect is shown"
    assert ended(["a"], 1, "", "internal error: KeyError: 'a'.").defect == "a defect is shown"
    assert ended(["a"], 1, "", "").defect == "no word"
    assert ended(["a"], -9, "", "").defect == "exit code -9"
