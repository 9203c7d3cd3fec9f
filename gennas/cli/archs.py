"""Reading the archs that a verb works on."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.documents import MOST_BYTES, parse_json, read_text
from gennas.errors import InvalidArchError, InvalidInputError, reason_of
from gennas.spaces.notations import literal

if TYPE_CHECKING:
    from gennas.arch import Arch
    from gennas.spaces import Space

_EXPECTED = '{"archs": [{"key": ...}, ...]}, a list of keys, a CSV with a column key, or one key a line'

#: A key, what was predicted for it, and where it stands.
_Entry = tuple[str, dict[str, Any], str]


def read_archs(space: Space, keys: Sequence[str], file: str | None) -> list[tuple[Arch, dict[str, Any]]]:
    """Archs given as keys, and in a file, each with what was predicted for it (nothing for bare keys).

    Raises:
        InvalidInputError: nothing was given, or the file cannot be read.
        InvalidArchError: a key is not a valid arch of the space; the message names the defect and the line.
    """
    entries: list[_Entry] = [(key, {}, "") for key in keys]
    if file is not None:
        entries += _entries_of(space, file)
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


def _entries_of(space: Space, file: str) -> list[_Entry]:
    try:
        text = _standard_input() if file == "-" else read_text(Path(file))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{file!r} cannot be read: {reason_of(error)}.", argument="archs") from error
    lines = [(line.strip(), number) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    first = lines[0][0] if lines else ""
    if first.startswith("{") and not _is_arch(space, first):
        return _entries_in(file, text)
    if first[:1] in ("[", "(") and not _is_arch(space, first) and (listed := _list_in(file, text)) is not None:
        return listed
    if (columns := _columns(first)) is not None:
        return _keys_in_table(file, text, *columns)
    return [(line, {}, f"{file}, line {number}: ") for line, number in lines]


def _is_arch(space: Space, line: str) -> bool:
    try:
        space.parse(line)
    except InvalidArchError:
        return False
    return True


def _entries_in(file: str, text: str) -> list[_Entry]:
    """The archs in a result of gennas, or the one cell that the file describes."""
    try:
        document = parse_json(text)
        if "matrix" in document:
            return [(text.strip(), {}, f"{file}: ")]
        entries = [(str(entry["key"]), dict(entry.get("predicted", {})), "") for entry in document["archs"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else reason_of(error)
        raise InvalidInputError(
            f"{file!r} is not a result of gennas: {reason}; expected {_EXPECTED}.", argument="archs"
        ) from error
    for key, predicted, _ in entries:
        if defect := _defect_of(predicted):
            raise InvalidInputError(f"{file!r}, arch {key!r}: {defect}.", argument="archs")
    return entries


def _list_in(file: str, text: str) -> list[_Entry] | None:
    """The keys or cells in a list, as JSON or Python writes it; None where it is no list of such."""
    try:
        listed = parse_json(text)
    except ValueError:
        try:
            listed = literal(text)
        except ValueError:
            return None
    if not isinstance(listed, list | tuple):
        return None
    entries: list[_Entry] = []
    for number, entry in enumerate(listed, start=1):
        try:
            key = entry["key"] if isinstance(entry, dict) and "key" in entry else entry
            key = json.dumps(key) if isinstance(key, dict) else key
        except TypeError as error:
            # Python writes what JSON cannot: sets, bytes, keys that are no strings.
            raise InvalidInputError(
                f"{file!r}, arch {number} is no cell: {error}; expected {_EXPECTED}.", argument="archs"
            ) from error
        if not isinstance(key, str):
            return None
        entries.append((key, {}, f"arch {number}: "))
    return entries


def _columns(header: str) -> tuple[str, int] | None:
    """The separator of a table and the place of its column ``key``; None where the line is no such header."""
    for separator in (",", ";", "\t"):
        names = [name.strip().strip('"').strip().casefold() for name in header.split(separator)]
        if names.count("key") == 1:
            return separator, names.index("key")
    return None


def _keys_in_table(file: str, text: str, separator: str, place: int) -> list[_Entry]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    entries: list[_Entry] = []
    try:
        for number, row in enumerate(reader):
            if number and len(row) > place and row[place].strip():
                entries.append((row[place].strip(), {}, f"{file}, line {reader.line_num}: "))
    except csv.Error as error:
        raise InvalidInputError(f"{file!r}, line {reader.line_num}: {error}.", argument="archs") from error
    return entries


def _standard_input() -> str:
    # Closed by whoever started this process.
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    text = sys.stdin.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} characters")
    return text


def _defect_of(predicted: dict[str, Any]) -> str:
    """What is wrong with predictions: means with stds, perhaps medians with intervals; numbers, or null for what is not
    defined."""
    from gennas.metrics import implausible

    for name, value in predicted.items():
        parts = ("median", "low", "high") if isinstance(value, dict) and "median" in value else ()
        for part in parts:
            if (number := value.get(part)) is None or (defect := implausible(name, number)):
                return f"the {part} of {name} is missing" if number is None else defect
        number, std = (value.get("mean"), value.get("std")) if isinstance(value, dict) else (value, 0.0)
        if isinstance(std, bool) or not isinstance(std, int | float) or not 0 <= std < float("inf"):
            return f"the std of {name} is {std!r}; must be a finite number that is not negative"
        if number is not None and (defect := implausible(name, number)):
            return defect
    return ""
