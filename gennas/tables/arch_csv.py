"""The user's CSV files: one arch and one number per row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError, short
from gennas.spaces import Space

_SHOWN = 5
#: Stricter than float(), which also reads 1_000.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """The column of numbers in a CSV file, and how messages describe it.

    Attributes:
        name: name of the column.
        argument: the argument that the file was given as, e.g. ``csv``.
        number: what a number is expected to be, e.g. ``a number of milliseconds``.
        example: a valid number, e.g. ``7.1``.
        advice: how to get such a file; ends the errors about its format.
    """

    name: str
    argument: str
    number: str
    example: str
    advice: str

    @property
    def header(self) -> tuple[str, str]:
        """Names of the two columns that are read."""
        return "key", self.name

    @property
    def expected(self) -> str:
        """The expected file format, as messages put it."""
        return f"expected UTF-8 text whose first line is {','.join(self.header)} ({self.advice})"


def read_numbers(
    path: Path, space: Space, column: Column, defect_of: Callable[[Arch, float], str]
) -> dict[Arch, float]:
    """Reads the columns ``key`` and ``column`` of a file: the number of each distinct arch, in the file's order.

    The separator may be a comma, a tab or a semicolon (then decimal commas are accepted too). Other columns, blank
    lines and repeated rows are ignored.

    Args:
        path: the CSV file.
        space: the space that the keys belong to; keys are canonicalised.
        column: the column to read.
        defect_of: returns what is wrong with the number of an arch; empty if it is valid.

    Raises:
        InvalidInputError: the file cannot be read, has another format, or has invalid rows; the message lists the first
            few with their line numbers.
    """
    problems, numbers = [], dict[Arch, tuple[int, float]]()
    for line, fields in _rows(path, column):
        try:
            arch, number = _read(fields, space, column)
            if defect := defect_of(arch, number):
                raise InvalidInputError(defect)
            first_line, first_number = numbers.setdefault(arch, (line, number))
            if first_number != number:
                raise InvalidInputError(
                    f"{short(arch.key)} has {column.name} {number:g}, but {first_number:g} in line {first_line}"
                )
        except (InvalidArchError, InvalidInputError) as error:
            problems.append(f"line {line}: {short(str(error).rstrip('.'), 400)}")
    if problems:
        rows, these = (
            ("1 invalid row", "this row") if len(problems) == 1 else (f"{len(problems)} invalid rows", "these rows")
        )
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        listing = "\n  ".join([*problems[:_SHOWN], *more])
        raise InvalidInputError(f"{path} has {rows}; fix {these} and rerun; nothing was saved:\n  {listing}")
    return {arch: number for arch, (_, number) in numbers.items()}


def _rows(path: Path, column: Column) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row: the key, the number, and any fields beyond the header's columns."""
    text = _text(path, column)
    head = next(line for line in re.split(r"[\r\n]+", text) if line.strip())
    for separator in (",", ";", "\t"):
        # Column names contain no separators, so quotes need no proper parsing here.
        header = [name.strip().strip('"').strip().casefold() for name in head.split(separator)]
        if all(header.count(name) == 1 for name in column.header):
            break
    else:
        raise InvalidInputError(f"{path} starts with {short(head)!r}; {column.expected}.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    indices = [header.index(name) for name in column.header]
    line, is_header = 1, True
    try:
        for row in reader:
            if any(field.strip() for field in row):
                if not is_header:
                    key, number = (row[index].strip() if index < len(row) else "" for index in indices)
                    if separator == ";" and number.count(",") == 1 and "." not in number:
                        number = number.replace(",", ".")
                    yield line, [key, number, *(field for field in row[len(header) :] if field.strip())]
                is_header = False
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInputError(f"{path}, line {line}: {error}; {column.expected}.") from error


def _text(path: Path, column: Column) -> str:

    def error(defect: str) -> InvalidInputError:
        return InvalidInputError(f"{path} {defect}; {column.expected}.", argument=column.argument)

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except IsADirectoryError as failure:
        raise error("is a folder") from failure
    except OSError as failure:
        raise error(f"cannot be read: {failure.strerror}") from failure
    except UnicodeDecodeError as failure:
        raise error(f"is not valid UTF-8 (at byte {failure.start})") from failure
    if "\0" in text:
        raise error("is not a text file: it contains null bytes")
    if not text.strip():
        raise error("is empty")
    return text


def _read(fields: list[str], space: Space, column: Column) -> tuple[Arch, float]:
    key, text, *extra = fields
    if extra:
        raise InvalidInputError(
            f'more fields than columns in the header; quote a key that contains a comma: "KEY",{column.example}'
        )
    (arch,) = space.canonicalised([space.parse(key)])
    if not text:
        raise InvalidInputError(f"{short(arch.key)} has no {column.name}; fill it in or delete the row")
    if not _NUMBER.fullmatch(text):
        raise InvalidInputError(f"{column.name} is {short(text)!r}; expected {column.number} such as {column.example}")
    return arch, float(text)
