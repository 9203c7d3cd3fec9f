"""Streams that are closed, full or read by nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gennas.cli.streams import say

GENNAS = f"{sys.executable} -m gennas"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (f"{GENNAS} list tasks | head -1; exit ${{PIPESTATUS[0]}}", 0, ""),
        (f"{GENNAS} list tasks --format json | head -1; exit ${{PIPESTATUS[0]}}", 0, ""),
        (f"{GENNAS} list tasks >&-", 2, "error: standard output is closed; the result could not be printed.\n"),
        (f"{GENNAS} list tasks > /dev/full", 2, "error: cannot use standard output: No space left on device"),
        (f"{GENNAS} list tasks 2>&-", 0, ""),
        (f"{GENNAS} list nothing 2>&-", 2, ""),
        (f"{GENNAS} list nothing 2> /dev/full", 2, ""),
        (f"{GENNAS} export --draw --archs - <&-", 2, "error: --archs '-' cannot be read: standard input is closed.\n"),
        (f"{GENNAS} --config", 2, "error: "),
        (f"{GENNAS} --config nowhere", 2, "error: "),
    ],
)
def test_streams(command: str, code: int, said: str, tmp_path: Path) -> None:
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == code, ran.stderr
    assert ran.stderr.startswith(said)
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    if "2>" in command:
        assert "error" not in ran.stdout, "what is for stderr is not printed among results"


def test_messages_of_several_rows_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("mine.csv: nothing was saved:\n  line 2: a is 5\n  line 3: b\nc is 6")
    assert capsys.readouterr().err == "mine.csv: nothing was saved: line 2: a is 5 line 3: b\\nc is 6\n"
