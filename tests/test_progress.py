"""Progress: plain lines off a terminal, a bar on one, never on stdout."""

from __future__ import annotations

import re
import sys

import pytest

from gennas.progress import progress


def test_plain_lines_every_tenth_with_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("counting", 200) as report:
        for done in range(201):
            report(done, f"loss {done}")
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 11
    assert re.fullmatch(r"counting: 100/200, \d+ s, \d+ s left loss 100", lines[5])
    assert re.fullmatch(r"counting: 200/200, \d+ s(, 0 s left)? loss 200", lines[-1])


def test_nothing_to_do_and_steps_that_go_back(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("nothing", 0) as report:
        report(0, "")
    with progress("going back", 10) as report:
        report(5, "")
        report(3, "")
        report(5, "")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["nothing: 0/0", "going back: 5/10"]


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("counting", 4) as report:
        for done in range(5):
            report(done, "[not a tag]")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "4/4" in captured.err


def test_errors_pass_through() -> None:
    def failing() -> None:
        with progress("failing", 3) as report:
            report(1, "")
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        failing()
