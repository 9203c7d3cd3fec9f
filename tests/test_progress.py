"""Progress: the library logs it and prints nothing; whoever speaks to a person shows it in another way."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from gennas.progress import Report, displayed, estimate_text, progress


def test_a_line_at_every_tenth_with_what_is_left(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="gennas"), progress("counting", 200) as report:
        for done in range(201):
            report(done, f"loss {done}")
    assert len(caplog.messages) == 11
    assert re.fullmatch(r"counting: 100/200, \d+ s, \d+ s left loss 100", caplog.messages[5])
    assert re.fullmatch(r"counting: 200/200, \d+ s(, 0 s left)? loss 200", caplog.messages[-1])
    assert {record.name for record in caplog.records} == {"gennas.progress"}
    assert capsys.readouterr() == ("", "")


def test_nothing_to_do_and_steps_that_go_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gennas"):
        with progress("nothing", 0) as report:
            report(0, "")
        with progress("going back", 10) as report:
            report(5, "")
            report(3, "")
            report(5, "")
    assert [line.split(",")[0] for line in caplog.messages] == ["nothing: 0/0", "going back: 5/10"]


def test_what_takes_long_does_not_look_stuck(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("gennas.progress.time.monotonic", lambda: now)
    with caplog.at_level(logging.INFO, logger="gennas"), progress("searching", 10) as report:
        for step in range(41):
            now = 10.0 * step
            report(0, f"({step} drawn)")
    said = [float(re.findall(r"(\d+) s", line)[0]) for line in caplog.messages]
    assert said[:3] == [0, 30, 70]
    assert max(later - earlier for earlier, later in pairwise(said)) <= 80
    assert caplog.messages[1].endswith("(3 drawn)")


def test_a_display_takes_the_place_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    shown: list[tuple[str, int, int, str]] = []

    @contextmanager
    def display(title: str, total: int) -> Iterator[Report]:
        yield lambda done, note: shown.append((title, total, done, note))

    with caplog.at_level(logging.INFO, logger="gennas"):
        with displayed(display), progress("counting", 3) as report:
            report(2, "note")
        assert shown == [("counting", 3, 2, "note")]
        assert caplog.messages == []
        with progress("later", 1) as report:
            report(1, "")
    assert len(caplog.messages) == 1, "only while the display is open"


def test_errors_pass_through() -> None:
    def failing() -> None:
        with progress("failing", 3) as report:
            report(1, "")
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        failing()


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "10 seconds"), (84, "80 seconds"), (91, "2 minutes"), (3600 * 2.5, "2.5 hours")]
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert estimate_text(seconds) == text
