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
#: Names of the column that has the archs.
KEYS = ("key", "arch")
#: Stricter than float(), which also reads 1_000.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


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
    file = CsvFile.open(
        path,
        columns[0].argument,
        _expected(columns),
        lambda names: names.count("key") == 1 and bool(_places(names, columns)),
        ["key", *names_of(columns)],
    )
    names = [name.casefold() for name in file.names]
    read, key_at = _places(names, columns), names.index("key")
    for line, fields, extra in file.rows():
        try:
            arch, numbers = _read(space, fields[key_at], {at: file.number(fields[at]) for at in read}, extra, read)
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
        raise invalid_rows(path, problems, columns[0].argument)
    numbers_of = {arch: {name: number for name, (_, number) in known.items()} for arch, known in found.items()}
    unused = (name for at, name in enumerate(names) if at not in read and name not in ("key", ""))
    return ArchRows(numbers_of, tuple(unused))


@dataclass(frozen=True)
class CsvFile:
    """A file whose first line was understood.

    Attributes:
        path: of the file.
        text: its content.
        separator: between the fields of a line.
        names: of its columns, as they are written.
        expected: the expected format, as messages put it.
    """

    path: Path
    text: str
    separator: str
    names: tuple[str, ...]
    expected: str

    @classmethod
    def open(
        cls,
        path: Path,
        argument: str,
        expected: str,
        fits: Callable[[Sequence[str]], bool],
        known: Sequence[str] = (),
    ) -> CsvFile:
        """Reads a file.

        Args:
            path: of the file.
            argument: that it was given as.
            expected: the expected format, as messages put it.
            fits: whether the names of columns, in lower case, are those of such a file.
            known: names of columns that are suggested for those that are like them.

        Raises:
            InvalidInputError: it cannot be read, or its first line is another one.
        """
        text = _text(path, argument, expected)
        head = next(line for line in re.split(r"[\r\n]+", text) if line.strip())
        for separator in (",", ";", "\t"):
            # Column names contain no separators, so quotes need no proper parsing here.
            names = tuple(name.strip().strip('"').strip() for name in head.split(separator))
            if fits([name.casefold() for name in names]):
                return cls(path, text, separator, names, expected)
        near = near_names((name.strip().strip('"') for name in re.split(r"[,;\t]", head)), known)
        raise InvalidInputError(
            f"{path} starts with {short(head)!r}{f' ({near})' if near else ''}; {expected}.", argument=argument
        )

    def rows(self) -> Iterator[tuple[int, list[str], list[str]]]:
        """Line number, a field per column, and the fields beyond the header's columns; without the header."""
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.separator, strict=True)
        line, is_header, count = 1, True, len(self.names)
        try:
            for row in reader:
                if any(field.strip() for field in row):
                    if not is_header:
                        fields = [field.strip() for field in row]
                        yield line, (fields + [""] * count)[:count], [field for field in fields[count:] if field]
                    is_header = False
                line = reader.line_num + 1
        except csv.Error as error:
            raise InvalidInputError(f"{self.path}, line {line}: {error}; {self.expected}.") from error

    def number(self, text: str) -> str:
        """A field with a number, with a decimal point where it has a comma."""
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


def key_column(names: Sequence[str]) -> int | None:
    """Which column has the archs, of names in lower case; None where none does, or several do."""
    found = next((name for name in KEYS if name in names), None)
    return names.index(found) if found is not None and names.count(found) == 1 else None


def _places(names: Sequence[str], columns: Sequence[Column]) -> dict[int, Column]:
    """Where the columns are among names in lower case; nowhere where one is there twice."""
    places = {column.name: [at for at, name in enumerate(names) if column.is_named(name)] for column in columns}
    if any(len(found) > 1 for found in places.values()):
        return {}
    return {found[0]: column for column in columns if (found := places[column.name])}


def invalid_rows(path: Path, problems: Sequence[str], argument: str) -> InvalidInputError:
    """What to raise for a file with invalid rows: lists the first few.

    Args:
        path: of the file.
        problems: one per row, each beginning with where it is.
        argument: that the file was given as.
    """
    rows, these = (
        ("1 invalid row", "this row") if len(problems) == 1 else (f"{len(problems)} invalid rows", "these rows")
    )
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    listing = "\n  ".join([*problems[:_SHOWN], *more])
    # What was evaluated is only read.
    saved = "" if argument == "evaluated" else "; nothing was saved"
    return InvalidInputError(f"{path} has {rows}; fix {these} and rerun{saved}:\n  {listing}", argument=argument)


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
        if text and not NUMBER.fullmatch(text):
            raise InvalidInputError(
                f"{column.name} is {short(text)!r}; expected {column.number} such as {column.example}"
            )
        if text:
            numbers[column.name] = float(text)
    if not numbers:
        raise InvalidInputError(f"{short(arch.key)} has no {first.name}; fill it in or delete the row")
    return arch, numbers
