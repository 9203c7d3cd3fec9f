"""Reading the archs that a verb works on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.documents import parse_json, read_text
from gennas.errors import InvalidArchError, InvalidInputError, reason_of

if TYPE_CHECKING:
    from gennas.arch import Arch
    from gennas.spaces import Space


def read_archs(space: Space, keys: Sequence[str], file: str | None) -> list[tuple[Arch, dict[str, Any]]]:
    """Archs given as keys, and in a file, each with what was predicted for it (nothing for bare keys).

    Raises:
        InvalidInputError: nothing was given, or the file cannot be read.
        InvalidArchError: a key is not a valid arch of the space; the message names the defect and the line.
    """
    entries: list[tuple[str, dict[str, Any], str]] = [(key, {}, "") for key in keys]
    if file is not None:
        entries += _entries_of(file)
    if not entries:
        raise InvalidInputError(
            "no archs were given; expected keys, or --archs FILE with one key a line (- is standard input)."
        )
    archs = []
    for key, predicted, place in entries:
        try:
            archs.append((space.parse(key), predicted))
        except InvalidArchError as error:
            raise InvalidArchError(f"{place}{error}") from error
    return archs


def _entries_of(file: str) -> list[tuple[str, dict[str, Any], str]]:
    try:
        text = _standard_input() if file == "-" else read_text(Path(file))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{file!r} cannot be read: {reason_of(error)}.", argument="archs") from error
    if text.lstrip().startswith("{"):
        try:
            document = parse_json(text)
            entries = [(str(entry["key"]), dict(entry.get("predicted", {})), "") for entry in document["archs"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else reason_of(error)
            raise InvalidInputError(
                f"{file!r} is not a result of gennas: {reason}; expected "
                '{"archs": [{"key": ...}, ...]}, or one key a line.',
                argument="archs",
            ) from error
        for key, predicted, _ in entries:
            if defect := _defect_of(predicted):
                raise InvalidInputError(f"{file!r}, arch {key!r}: {defect}.", argument="archs")
        return entries
    lines = enumerate(text.splitlines(), start=1)
    return [(line.strip(), {}, f"{file}, line {number}: ") for number, line in lines if line.strip()]


def _standard_input() -> str:
    # Closed by whoever started this process.
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    return sys.stdin.read()


def _defect_of(predicted: dict[str, Any]) -> str:
    """What is wrong with predictions: means with stds, numbers, or null for what is not defined."""
    from gennas.metrics import implausible

    for name, value in predicted.items():
        number, std = (value.get("mean"), value.get("std")) if isinstance(value, dict) else (value, 0.0)
        if isinstance(std, bool) or not isinstance(std, int | float) or not 0 <= std < float("inf"):
            return f"the std of {name} is {std!r}; must be a finite number that is not negative"
        if number is not None and (defect := implausible(name, number)):
            return defect
    return ""
