"""The rows of a label file: CSV, TSV or JSON Lines with a column of files and one of labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gennas.documents import parse_json, read_bytes
from gennas.errors import InvalidInputError
from gennas.paths import readable
from gennas.tasks.listing import EXPECTED

FILE_COLUMNS = (
    "file_name", "filename", "file", "file_path", "filepath", "path", "image", "image_path", "img", "image_id", "id",
)  # fmt: skip
LABEL_COLUMNS = ("label", "class", "target", "class_name", "category")
SPLIT_COLUMNS = ("split", "subset", "set", "partition")
_ENDINGS = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class LabelRows:
    """The rows of a label file.

    Attributes:
        path: of the file.
        rows: name of the file, label and split, as written.
        columns: their names.
        numbers: names of other columns, which hold nothing but numbers.
    """

    path: Path
    rows: list[tuple[str, str, str]]
    columns: tuple[str, str, str | None]
    numbers: tuple[str, ...] = ()


def is_label_file(name: str) -> bool:
    """Whether a file's name is that of a label file."""
    return name.lower().endswith(_ENDINGS) and not name.startswith(".")


def read_label_file(path: Path) -> LabelRows:
    """The rows of a label file; without a column of labels their labels are empty.

    Raises:
        InvalidInputError: it cannot be read, has no rows, or no column of files.
    """
    records = read_records(path)
    file, label, split = (column_of(records, known) for known in (FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS))
    if file is None:
        raise no_files(path, records)
    if label is None and len(others := [name for name in records[0] if name not in (file, split)]) == 1:
        # What else would it be? The note says which column was taken.
        label = others[0]
    rows = [(word_of(one, file).replace("\\", "/"), word_of(one, label), word_of(one, split)) for one in records]
    rows = [row for row in rows if row[0]]
    if not rows:
        raise InvalidInputError(f"{readable(path)} names no file in column {file!r}; {EXPECTED}.")
    others = [name for name in records[0] if name not in (file, label, split)]
    numbers = tuple(str(name) for name in others if all(_is_number(word_of(one, name)) for one in records))
    return LabelRows(path, rows, (str(file), str(label or ""), split), numbers)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The rows of a label file, column -> cell.

    Raises:
        InvalidInputError: it cannot be read, or has no rows.
    """
    try:
        content = read_bytes(path)
        # Excel's "Unicode text" is UTF-16.
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
        records = _json_lines(text) if path.suffix.lower() == ".jsonl" else _csv(text)
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidInputError(f"{readable(path)} cannot be read ({error}); expected UTF-8 with a header.") from error
    if not records:
        raise InvalidInputError(f"{readable(path)} has no rows; {EXPECTED}.")
    return records


def column_of(records: Sequence[Mapping[str, Any]], known: Sequence[str]) -> str | None:
    """The first column that has one of some names, however it is spelled; None where there is none."""
    names = {str(name).strip().casefold().replace(" ", "_").replace("-", "_"): name for name in records[0]}
    return next((names[one] for one in known if one in names), None)


def no_files(path: Path, records: Sequence[Mapping[str, Any]]) -> InvalidInputError:
    """The error about a label file without a column of files."""
    return InvalidInputError(
        f"{readable(path)} has the columns {', '.join(map(str, records[0]))[:200]}; expected one of files "
        f"({', '.join(FILE_COLUMNS[:6])}, ...) and one of labels ({', '.join(LABEL_COLUMNS)})."
    )


def word_of(record: Mapping[str, Any], column: str | None) -> str:
    """A cell as text; empty where there is none."""
    value = record.get(column) if column is not None else None
    return "" if value is None else str(value).strip()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _csv(text: str) -> list[dict[str, Any]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def _json_lines(text: str) -> list[dict[str, Any]]:
    records = [parse_json(line) for line in text.splitlines() if line.strip()]
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("a line is no object")
    return records
