"""The three streams of a process, any of which may be closed, full or read by nobody."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import suppress

from gennas.cli.output import Outcome, show
from gennas.errors import InvalidInputError

#: Values that arrive may be megabytes long, and messages show them.
_LONGEST = 2000


def check_streams() -> None:
    """Before any work: what is found can be printed.

    Raises:
        InvalidInputError: standard output is closed.
    """
    if sys.stderr is None:
        # Python would print on standard output instead.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        raise InvalidInputError("standard output is closed; the result could not be printed.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot show must not cost what was computed.
            stream.reconfigure(errors="backslashreplace")


def print_outcome(outcome: Outcome, form: str) -> None:
    """Shows an outcome, to the last byte.

    Raises:
        BrokenPipeError: nobody reads standard output any more.
        OSError: standard output cannot be written, e.g. because the disk is full.
    """
    try:
        show(outcome, form)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer has nowhere to go; Python would try again when it ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, "standard output") from error


def say(sentence: str) -> None:
    """One line on standard error, where it can be written; a very long one without its middle.

    Messages of several rows are joined. What does not print is escaped: a name may hold a line's end, or what a
    terminal takes for a command.
    """
    sentence = re.sub(r"\n +", " ", sentence)
    sentence = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in sentence)
    if len(sentence) > _LONGEST:
        sentence = f"{sentence[: _LONGEST // 2]} ... {sentence[-_LONGEST // 2 :]}"
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
