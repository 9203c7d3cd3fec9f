"""What a user reads on stderr while a verb runs."""

from __future__ import annotations

import logging
import sys

import pytest

from gennas.cli.console import console
from gennas.progress import progress


def test_the_log_of_gennas_as_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with console():
        logging.getLogger("gennas.evaluators.train").info("  epoch %d/10", 3)
        logging.getLogger("gennas.evaluators.train").debug("details")
        logging.getLogger("elsewhere").info("advice")
    logging.getLogger("gennas.evaluators.train").info("after the verb")
    assert capsys.readouterr() == ("", "  epoch 3/10\n")


def test_progress_off_a_terminal_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with console(), progress("counting", 2) as report:
        report(1, "")
        report(2, "loss 0.1")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(",")[0] for line in err.splitlines()] == ["counting: 1/2", "counting: 2/2"]


def test_progress_on_a_terminal_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with console(), progress("counting", 4) as report:
        for done in range(5):
            report(done, "[not a tag]")
    out, err = capsys.readouterr()
    assert out == ""
    assert "4/4" in err
    assert "[not a tag]" in err
    assert "counting: 1/4" not in err, "not in the log as well"
