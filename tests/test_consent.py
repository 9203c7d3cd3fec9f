"""Costs out of proportion are said before the work: logged by the library, asked on the command line."""

from __future__ import annotations

import io
import logging
import resource
import sys
from pathlib import Path
from typing import Any

import pytest

from gennas.cli.asking import asker
from gennas.cli.main import main
from gennas.consent import asked, expect
from gennas.errors import InvalidInputError
from gennas.executors.processes import ProcessExecutor
from gennas.machine import memory_gigabytes

KEY = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"


def test_only_what_is_out_of_proportion_is_said(caplog: pytest.LogCaptureFixture) -> None:
    here = memory_gigabytes()
    expect("a little", gigabytes=0.4 * here, hours=1.9, instead="lower `n`")
    assert caplog.messages == []
    with caplog.at_level(logging.WARNING):
        expect("much", gigabytes=3 * here, hours=30, instead="lower `n`")
    (message,) = caplog.messages
    assert message.startswith("much: that takes at least ")
    assert "GB of memory, and this machine has " in message
    assert message.endswith("GB, and 30 hours; to have it cheaper, lower `n`.")


def test_the_memory_is_that_of_the_process() -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**37, limits[1]))
    try:
        assert memory_gigabytes() <= 2**37 / 1e9
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert 0.1 < memory_gigabytes() < 1e6


def test_off_a_terminal_it_is_refused_unless_yes_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        asked(asker(yes=False)),
        pytest.raises(InvalidInputError, match=r"^all: .* 9 hours\. Lower `n`, or give --yes"),
    ):
        expect("all", hours=9, instead="lower `n`")
    with asked(asker(yes=True)):
        expect("all", hours=9, instead="lower `n`")
    assert "all: that takes at least 9 hours; going on" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["y\n", "Yes\n", "\n", "n\n", ""])
def test_a_terminal_is_asked(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with asked(asker(yes=False)):
        if answer.strip().lower() in ("y", "yes"):
            expect("all", hours=9, instead="lower `n`")
        else:
            with pytest.raises(InvalidInputError, match="not begun"):
                expect("all", hours=9, instead="lower `n`")


@pytest.mark.parametrize(
    ("words", "cost", "advice"),
    [
        (["validate", KEY, "--image-size", 20000], "1,797 images of 20000x20000 pixels", "Lower --image-size"),
        (["validate", KEY, "--skeleton", "cells=90000"], "million parameters", "Choose a smaller --skeleton"),
        (["search", "--skeleton", "channels=30000"], "million parameters", "Choose a smaller --skeleton"),
        (["search", "--workers", 50000], "50000 worker processes", "Lower --workers"),
        (["predict", KEY, "--proxy", "synflow", "--skeleton", "channels=30000"], "parameters", "Choose a smaller"),
    ],
)
def test_work_is_not_begun(
    words: list[object], cost: str, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if words[0] == "predict" else ["--out", tmp_path / "run"]
    assert main([str(word) for word in [*words, "--task", "digits", *out]]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert cost in line
    assert advice in line
    assert not (tmp_path / "run" / "networks").exists()


def test_yes_begins(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("gennas.consent.memory_gigabytes", lambda: 1e-6)
    words = ["predict", KEY, "--proxy", "grad_norm", "--task", "digits", "--image-size", "8"]
    assert main(words) == 2
    assert main([*words, "--yes"]) == 0
    assert "going on, as --yes was given." in capsys.readouterr().err


def test_workers_of_the_library_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    ProcessExecutor(10_000).close()
    assert "10000 worker processes" in caplog.text


def test_more_than_there_are(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words: list[Any] = ["generate", "--task", "digits", "--checkpoint", tiny_checkpoint, "-n", 10_000_000]
    assert main([str(word) for word in words]) == 2
    assert "-n is 10000000; space 'nasbench201' has 15625 archs. Ask for fewer." in capsys.readouterr().err


@pytest.mark.parametrize(
    "value", ["\u00b2", "\u0663", "0", "-1", "", "1e3", "1_0", "+5", "9" * 400, "9" * 5000, "100001"]
)
def test_settings_of_skeletons(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Superscripts are digits to Python, and numbers of a thousand digits are numbers."""
    assert main(["predict", KEY, "--task", "digits", f"--skeleton=channels={value}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "must be an integer from 1 to 100000" in line
    assert len(line) < 300
