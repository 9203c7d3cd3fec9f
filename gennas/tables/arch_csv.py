"""The user's CSV files: an arch and its numbers per row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

from gennas.arch import Arch
from gennas.documents import read_text
from gennas.errors import InvalidArchError, InvalidInputError, short
from gennas.spaces import Space

_SHOWN = 5
#: Stricter than float(), which also reads 1_000.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of numbers in a CSV file, and how messages describe it.

    Attributes:
        name: name of the column.
        argument: the argument that the file was given as, e.g. ``csv``.
        number: what a number is expected to be, e.g. ``a number of milliseconds``.
        example: a valid number, e.g. ``7.1``.
        advice: how to get such a file; ends the errors about its format.
        also: other names that the column may have.
    """

    name: str
    argument: str
    number: str
    example: str
    advice: str
    also: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, str]:
        """The first line of a file that has this column alone."""
        return "key", self.name

    def is_named(self, header: str) -> bool:
        """Whether a column of the file, its name in lower case, is this one."""
        return header in (self.name.casefold(), *(name.casefold() for name in self.also))


@dataclass(frozen=True)
class ArchRows:
    """What a file says of archs.

    Attributes:
        numbers: arch -> name of a column -> number, in the file's order; a field that is empty is missing.
        unused: names of the file's other columns, in its order.
    """

    numbers: dict[Arch, dict[str, float]]
    unused: tuple[str, ...]


def read_numbers(
    path: Path, space: Space, column: Column, defect_of: Callable[[Arch, float], str]
) -> dict[Arch, float]:
    """Reads the columns ``key`` and ``column`` of a file: the number of each distinct arch, in the file's order.

    As :func:`read_columns` does, but every row must have the number.

    Args:
        path: the CSV file.
        space: the space that the keys belong to; keys are canonicalised.
        column: the column to read.
        defect_of: returns what is wrong with the number of an arch; empty if it is valid.

    Raises:
        InvalidInputError: the file cannot be read, has another format, or has invalid rows; the message lists the first
            few with their line numbers.
    """
    rows = read_columns(path, space, [column], lambda arch, name, number: defect_of(arch, number))
    return {arch: numbers[column.name] for arch, numbers in rows.numbers.items()}


def read_columns(
    path: Path, space: Space, columns: Sequence[Column], defect_of: Callable[[Arch, str, float], str]
) -> ArchRows:
    """Reads the column ``key`` of a file, and those of some columns of numbers that it has, at least one.

    The separator may be a comma, a tab or a semicolon (then decimal commas are accepted too). Blank lines and repeated
    rows are ignored; so is an empty field, if its row has another number.

    Args:
        path: the CSV file.
        space: the space that the keys belong to; keys are canonicalised.
        columns: that may be read; messages take their words from the first.
        defect_of: returns what is wrong with the number of an arch in a column; empty if it is valid.

    Raises:
        InvalidInputError: the file cannot be read, has another format, or has invalid rows; the message lists the first
            few with their line numbers.
    """
    problems: list[str] = []
    found: dict[Arch, dict[str, tuple[int, float]]] = {}
    file = _File.open(path, columns)
    for line, key, texts, extra in file.rows():
        try:
            arch, numbers = _read(space, key, texts, extra, file.columns)
            known = found.setdefault(arch, {})
            for name, number in numbers.items():
                if defect := defect_of(arch, name, number):
                    raise InvalidInputError(defect)
                first_line, first_number = known.setdefault(name, (line, number))
                if first_number != number:
                    raise InvalidInputError(
                        f"{short(arch.key)} has {name} {number:g}, but {first_number:g} in line {first_line}"
                    )
        except (InvalidArchError, InvalidInputError) as error:
            problems.append(f"line {line}: {short(str(error).rstrip('.'), 400)}")
    if problems:
        rows, these = (
            ("1 invalid row", "this row") if len(problems) == 1 else (f"{len(problems)} invalid rows", "these rows")
        )
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        listing = "\n  ".join([*problems[:_SHOWN], *more])
        raise InvalidInputError(
            f"{path} has {rows}; fix {these} and rerun; nothing was saved:\n  {listing}", argument=columns[0].argument
        )
    numbers_of = {arch: {name: number for name, (_, number) in known.items()} for arch, known in found.items()}
    return ArchRows(numbers_of, file.unused)


@dataclass(frozen=True)
class _File:
    """A file whose first line was understood.

    Attributes:
        header: names of its columns, in lower case.
        columns: those that are read, by their place.
    """

    path: Path
    text: str
    separator: str
    header: list[str]
    columns: dict[int, Column]
    expected: str

    @classmethod
    def open(cls, path: Path, columns: Sequence[Column]) -> _File:
        expected = _expected(columns)
        text = _text(path, columns[0].argument, expected)
        head = next(line for line in re.split(r"[\r\n]+", text) if line.strip())
        for separator in (",", ";", "\t"):
            # Column names contain no separators, so quotes need no proper parsing here.
            header = [name.strip().strip('"').strip().casefold() for name in head.split(separator)]
            places = {
                column.name: [at for at, name in enumerate(header) if column.is_named(name)] for column in columns
            }
            read = {found[0]: column for column in columns if len(found := places[column.name]) == 1}
            if header.count("key") == 1 and read and not any(len(found) > 1 for found in places.values()):
                return cls(path, text, separator, header, read, expected)
        near = near_names((name.strip().strip('"') for name in re.split(r"[,;\t]", head)), ["key", *names_of(columns)])
        raise InvalidInputError(
            f"{path} starts with {short(head)!r}{f' ({near})' if near else ''}; {expected}.",
            argument=columns[0].argument,
        )

    @property
    def unused(self) -> tuple[str, ...]:
        return tuple(name for at, name in enumerate(self.header) if at not in self.columns and name not in ("key", ""))

    def rows(self) -> Iterator[tuple[int, str, dict[int, str], list[str]]]:
        """Line number, key, the fields that are read by their place, and any fields beyond the header's columns."""
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.separator, strict=True)
        line, is_header, key_at = 1, True, self.header.index("key")
        try:
            for row in reader:
                if any(field.strip() for field in row):
                    if not is_header:
                        fields = [field.strip() for field in row] + [""] * len(self.header)
                        texts = {at: self._number(fields[at]) for at in self.columns}
                        yield line, fields[key_at], texts, [field for field in row[len(self.header) :] if field.strip()]
                    is_header = False
                line = reader.line_num + 1
        except csv.Error as error:
            raise InvalidInputError(f"{self.path}, line {line}: {error}; {self.expected}.") from error

    def _number(self, text: str) -> str:
        comma = self.separator == ";" and text.count(",") == 1 and "." not in text
        return text.replace(",", ".") if comma else text


def names_of(columns: Iterable[Column]) -> list[str]:
    """All names that some columns may have."""
    return [name for column in columns for name in (column.name, *column.also)]


def near_names(found: Iterable[str], known: Sequence[str]) -> str:
    """Which of some names of columns were probably meant to be others, e.g. ``acuracy: did you mean accuracy?``; empty
    for none."""
    folded = {name.casefold(): name for name in known}
    near = {}
    for name in found:
        meant = get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
        # What is known of another device or task is no slip of the pen.
        if meant and name.casefold() not in folded and _is_alike(name.casefold(), meant[0]):
            near[name] = folded[meant[0]]
    return "; ".join(f"{short(name)}: did you mean {meant}?" for name, meant in near.items())


def _is_alike(name: str, other: str) -> bool:
    """Whether two names are alike in every part: a metric, and its target where both have one."""
    parts = zip(name.split("@"), other.split("@"), strict=False)
    return all(SequenceMatcher(None, one, another).ratio() >= 0.7 for one, another in parts)


def _expected(columns: Sequence[Column]) -> str:
    """The expected file format, as messages put it."""
    first = columns[0]
    names = f"is key,{first.name}" if len(columns) == 1 else f"has key and {' or '.join(c.name for c in columns)}"
    return f"expected UTF-8 text whose first line {names} ({first.advice})"


def _text(path: Path, argument: str, expected: str) -> str:

    def error(defect: str) -> InvalidInputError:
        return InvalidInputError(f"{path} {defect}; {expected}.", argument=argument)

    try:
        text = read_text(path)
    except IsADirectoryError as failure:
        raise error("is a folder") from failure
    except OSError as failure:
        raise error(f"cannot be read: {failure.strerror}") from failure
    except UnicodeDecodeError as failure:
        raise error(f"is not valid UTF-8 (at byte {failure.start})") from failure
    except ValueError as failure:
        raise error(f"cannot be read: {failure}") from failure
    if "\0" in text:
        raise error("is not a text file: it contains null bytes")
    if not text.strip():
        raise error("is empty")
    return text


def _read(
    space: Space, key: str, texts: Mapping[int, str], extra: Sequence[str], columns: Mapping[int, Column]
) -> tuple[Arch, dict[str, float]]:
    first = next(iter(columns.values()))
    if extra:
        raise InvalidInputError(
            f'more fields than columns in the header; quote a key that contains a comma: "KEY",{first.example}'
        )
    (arch,) = space.canonicalised([space.parse(key)])
    numbers = {}
    for at, text in texts.items():
        column = columns[at]
        if text and not _NUMBER.fullmatch(text):
            raise InvalidInputError(
                f"{column.name} is {short(text)!r}; expected {column.number} such as {column.example}"
            )
        if text:
            numbers[column.name] = float(text)
    if not numbers:
        raise InvalidInputError(f"{short(arch.key)} has no {first.name}; fill it in or delete the row")
    return arch, numbers
