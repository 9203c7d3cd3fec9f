"""The user's CSV files: one arch and one number of it a row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces import Space

_SHOWN = 5
#: Stricter than float(), which also reads 1_000.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """What a file tells of its archs, and the words for it.

    Attributes:
        name: of the column.
        option: that names the file, e.g. ``--csv``.
        number: what is expected of a number.
        example: one.
        otherwise: how to come by such a file; ends the errors about its form.
    """

    name: str
    option: str
    number: str
    example: str
    otherwise: str

    @property
    def header(self) -> tuple[str, str]:
        """The columns of the file."""
        return "key", self.name

    @property
    def expected(self) -> str:
        """What the file should be."""
        return f"expected UTF-8 text whose first line is {','.join(self.header)} ({self.otherwise})"


def read_numbers(
    path: Path, space: Space, column: Column, defect_of: Callable[[Arch, float], str]
) -> dict[Arch, float]:
    """The number of every distinct arch of a file with the columns ``key`` and ``column``, in the file's order.

    Separators may be commas, semicolons (then also with decimal commas) or tabs; other columns and blank lines are
    ignored, rows that say the same twice count once.

    Args:
        path: of the file.
        space: whose archs the keys are; equal archs may be written in different ways.
        column: what is read.
        defect_of: why an arch cannot have a number; empty if it can.

    Raises:
        InvalidInputError: no such file, another form, or bad rows, of which the first few are told with their line.
    """
    problems, found = [], dict[Arch, tuple[int, float]]()
    for line, fields in _rows(path, column):
        try:
            arch, number = _read(fields, space, column)
            if defect := defect_of(arch, number):
                raise InvalidInputError(defect)
            before, value = found.setdefault(arch, (line, number))
            if value != number:
                raise InvalidInputError(
                    f"{short(arch.key)} has {column.name} {number:g}, but {value:g} in line {before}"
                )
        except (InvalidArchError, InvalidInputError) as error:
            problems.append(f"line {line}: {short(str(error).rstrip('.'), 400)}")
    if problems:
        rows = f"{len(problems)} bad row{'s' if len(problems) > 1 else ''}"
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        listing = "\n  ".join([*problems[:_SHOWN], *more])
        raise InvalidInputError(f"{path} has {rows}; mend and repeat, nothing was stored:\n  {listing}")
    return {arch: number for arch, (_, number) in found.items()}


def short(text: str, most: int = 120) -> str:
    """A text without its middle where it is long."""
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def _rows(path: Path, column: Column) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row: key, number, and what is beyond the header's columns."""
    text = _text(path, column)
    head = next(line for line in re.split(r"[\r\n]+", text) if line.strip())
    for separator in (",", ";", "\t"):
        # No name holds a separator: what quotes there are need no care.
        header = [name.strip().strip('"').strip().casefold() for name in head.split(separator)]
        if all(header.count(name) == 1 for name in column.header):
            break
    else:
        raise InvalidInputError(f"{path}: the first line is {short(head)!r}; {column.expected}.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    places = [header.index(name) for name in column.header]
    line, is_header = 1, True
    try:
        for row in reader:
            if any(field.strip() for field in row):
                if not is_header:
                    key, number = (row[place].strip() if place < len(row) else "" for place in places)
                    if separator == ";" and number.count(",") == 1 and "." not in number:
                        number = number.replace(",", ".")
                    yield line, [key, number, *(field for field in row[len(header) :] if field.strip())]
                is_header = False
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInputError(f"{path}, line {line}: {error}; {column.expected}.") from error


def _text(path: Path, column: Column) -> str:
    where = f"{column.option} {path}"
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except IsADirectoryError as error:
        raise InvalidInputError(f"{where} is a folder; {column.expected}.") from error
    except OSError as error:
        raise InvalidInputError(f"{where} cannot be read: {error.strerror}; {column.expected}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{where} is no text in UTF-8 (byte {error.start}); {column.expected}.") from error
    if "\0" in text:
        raise InvalidInputError(f"{where} is no text: it holds zero bytes; {column.expected}.")
    if not text.strip():
        raise InvalidInputError(f"{where} is empty; {column.expected}.")
    return text


def _read(fields: list[str], space: Space, column: Column) -> tuple[Arch, float]:
    key, text, *beyond = fields
    if beyond:
        raise InvalidInputError(
            f'more fields than the first line names; a key that holds a comma needs quotes: "KEY",{column.example}'
        )
    (arch,) = space.canonicalised([space.parse(key)])
    if not text:
        raise InvalidInputError(f"{short(arch.key)} has no {column.name}; fill it in, or delete the row")
    if not _NUMBER.fullmatch(text):
        raise InvalidInputError(f"{column.name} is {short(text)!r}; expected {column.number} such as {column.example}")
    return arch, float(text)
