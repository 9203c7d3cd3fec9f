"""The rows of label files whose targets are values, or several labels per image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gennas.errors import InvalidInputError
from gennas.paths import readable
from gennas.tasks.label_files import found_rows
from gennas.tasks.label_rows import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    LabelRows,
    column_of,
    no_files,
    read_records,
    word_of,
)
from gennas.tasks.listing import ImageFile, Listing, Skipped, some, split_of
from gennas.tasks.targets import TargetKind

#: What a column of targets may be called beside names of a column of labels.
TARGET_COLUMNS = (*LABEL_COLUMNS, "labels", "classes", "targets", "tags", "value")


@dataclass(frozen=True, eq=False)
class TargetListing:
    """What label files hold.

    Attributes:
        files: the files of every split; their ``label`` is a row of :attr:`targets`.
        names: of the ``k`` values or labels.
        targets: ``(rows, k)``.
    """

    files: Listing
    names: tuple[str, ...]
    targets: np.ndarray


def list_targets(root: Path, files: Mapping[str, Path], kind: TargetKind) -> TargetListing:
    """Lists the files that label files name.

    Args:
        root: folder of the label files.
        files: split -> label file; an empty split stands for one of all of them.
        kind: of the targets.

    Raises:
        InvalidInputError: a label file cannot be read, lacks a column, has a target that is none of the kind, or names
            no file that is there; or label files have different columns.
    """
    listing = Listing(root, (), {})
    tables = {split: read_records(path) for split, path in files.items()}
    headers = {split: [str(name) for name in records[0]] for split, records in tables.items()}
    first = next(iter(files))
    if odd := [split for split, header in headers.items() if set(header) != set(headers[first])]:
        raise InvalidInputError(
            f"{readable(files[odd[0]])} has the columns {', '.join(headers[odd[0]])[:200]}, and "
            f"{readable(files[first])} {', '.join(headers[first])[:200]}; expected the same."
        )
    file, named, split_column = (
        column_of(tables[first], known) for known in (FILE_COLUMNS, TARGET_COLUMNS, SPLIT_COLUMNS)
    )
    if file is None:
        raise no_files(files[first], tables[first])
    others = [name for name in tables[first][0] if name not in (file, split_column)]
    if not others:
        raise InvalidInputError(f"{readable(files[first])} has no column beside {file!r}; expected the targets.")
    records = [record for table in tables.values() for record in table]
    columns = {name: [word_of(record, name) for record in records] for name in others}
    try:
        names, targets = kind.from_table(columns, others[0] if len(others) == 1 else named)
    except InvalidInputError as error:
        raise InvalidInputError(f"{some(path.name for path in files.values())}: {error}") from error
    listing.notes.append(
        f"{some(path.name for path in files.values())}: files are those of column {file!r}, {kind.outputs} are "
        f"{some(names)}"
    )
    _fill(listing, tables, files, targets, (file, split_column))
    return TargetListing(listing, names, targets)


def has_files(path: Path) -> bool:
    """Whether a label file has a column of files."""
    try:
        return column_of(read_records(path), FILE_COLUMNS) is not None
    except InvalidInputError:
        return False


def _fill(
    listing: Listing,
    tables: Mapping[str, list[dict[str, object]]],
    files: Mapping[str, Path],
    targets: np.ndarray,
    columns: tuple[str, str | None],
) -> None:
    """The files of every split that are there and have a target."""
    file, split_column = columns
    seen, start = set[str](), 0
    for split, records in tables.items():
        # A row's number stands for its label, so that it comes back with the file that was found for it.
        rows = [
            (word_of(record, file).replace("\\", "/"), str(start + row), word_of(record, split_column))
            for row, record in enumerate(records)
        ]
        start += len(records)
        read = LabelRows(files[split], [row for row in rows if row[0]], (file, "row", split_column))
        if not read.rows:
            raise InvalidInputError(f"{readable(files[split])} names no file in column {file!r}.")
        for name, label, status, own in found_rows(listing, read):
            to = split or (split_of(own) if split_column else split_of(name.partition("/")[0]) or "train")
            row = int(label)
            reason = ""
            if to is None:
                reason = f"of split {own!r}, which is not train, val or test"
            elif np.isnan(targets[row]).any():
                reason = "without a target"
            elif name in seen:
                reason = "listed twice"
            if to is None or reason:
                listing.skipped.append(Skipped(name, "", reason))
                continue
            seen.add(name)
            listing.splits.setdefault(to, []).append(ImageFile(name, row, status.st_size, status.st_mtime_ns))
    listing.skipped[:] = [Skipped(one.name, "", one.reason) for one in listing.skipped]
    if not listing.splits.get("train"):
        raise InvalidInputError(
            f"{some(path.name for path in files.values())} in {readable(listing.root)} names no image for training."
        )
    for found in listing.splits.values():
        found.sort(key=lambda one: one.name)
