"""Label files: a CSV or JSON Lines with a column of files and one of labels, as competitions and Hugging Face have."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gennas.errors import InvalidInputError
from gennas.paths import readable
from gennas.tasks.label_rows import LABEL_COLUMNS, LabelRows, is_label_file, read_label_file
from gennas.tasks.listing import ImageFile, Listing, Skipped, is_litter, some, split_of, visible_folders

#: Identifiers of files without their ending.
_SUFFIXES = ("", ".jpg", ".png", ".jpeg", ".JPG", ".webp", ".tif")
_TRIED = 50


def find_label_files(
    root: Path, splits: Mapping[str, str], has_columns: Callable[[Path], bool] | None = None
) -> dict[str, Path]:
    """Split -> its label file; an empty split stands for a file of all of them.

    Args:
        root: folder of the images.
        splits: split -> the name of its folder in ``root``.
        has_columns: whether a file has those that are needed, by default one of labels; the others are passed over.

    Raises:
        InvalidInputError: there are several, and nothing says which one counts.
    """
    for_split, others = {}, []
    for path in sorted(path for path in root.iterdir() if is_label_file(path.name) and path.is_file()):
        split = split_of(path.stem)
        if split is not None:
            for_split[split] = path
        else:
            others.append(path)
    for split, folder in splits.items():
        # Hugging Face's imagefolder.
        for name in ("metadata.csv", "metadata.jsonl"):
            if (root / folder / name).is_file():
                for_split.setdefault(split, root / folder / name)
    if "train" in for_split:
        return for_split
    usable = [path for path in others if (has_columns or _has_columns)(path)]
    if len(usable) > 1:
        named = [path for path in usable if path.stem.casefold() in ("metadata", "labels")]
        if len(named) != 1:
            names = ", ".join(readable(path.name) for path in usable)
            raise InvalidInputError(
                f"{readable(root)} has several label files: {names}; give the path of the one to use."
            )
        usable = named
    if not usable and others and len(visible_folders(root)) < 2:
        _expect_labels(read_label_file(others[0]))
    return {"": usable[0]} if usable else {}


def list_labelled(root: Path, files: Mapping[str, Path]) -> Listing:
    """Lists the files that label files name.

    Args:
        root: folder of the label files; their paths are relative to it, or to one of its folders.
        files: split -> label file; an empty split stands for one of all of them.

    Raises:
        InvalidInputError: a label file cannot be read, has no such columns, or names no file that is there; there are
            fewer than two classes; or a split has a class that ``train`` lacks.
    """
    listing = Listing(root, (), {})
    labelled: dict[str, list[tuple[str, str, os.stat_result]]] = {}
    for split, path in files.items():
        read = read_label_file(path)
        if split == "test" and read.columns[1] == "":
            listing.notes.append(f"{readable(path.name)} has no labels and is not used")
            continue
        _expect_labels(read)
        _note_columns(listing, read)
        for name, label, status, own in found_rows(listing, read):
            to = split or (split_of(own) if read.columns[2] else split_of(name.partition("/")[0]) or "train")
            if to is None:
                listing.skipped.append(Skipped(name, label, f"of split {own!r}, which is not train, val or test"))
            else:
                labelled.setdefault(to, []).append((name, label, status))
    classes = sorted({label for _, label, _ in labelled.get("train", [])}, key=_order)
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no class"
        raise InvalidInputError(
            f"{some(path.name for path in files.values())} in {readable(root)} names {found} with images that are "
            f"there for training; expected at least two classes. {_skipped_of(listing)}"
        )
    if parts := _parts_of(classes):
        listing.notes.append(
            f"labels look like lists of {some(parts)}; if an image can have several of them, give `targets` multilabel"
        )
    index = {name: label for label, name in enumerate(classes)}
    listing.classes = tuple(readable(name) for name in classes)
    for split in ("train", "val", "test"):
        rows = labelled.get(split)
        if rows is None:
            continue
        if unknown := sorted({label for _, label, _ in rows} - set(classes)):
            raise InvalidInputError(
                f"the {split} split has labels that train lacks: {some(unknown)}; expected {some(classes)}."
            )
        listing.splits[split] = [
            ImageFile(name, index[label], status.st_size, status.st_mtime_ns)
            for name, label, status in sorted(rows, key=lambda row: row[:2])
        ]
    listing.skipped += _not_named(listing)
    paths = [os.path.relpath(root / file.name, root) for found in listing.splits.values() for file in found]
    used = {path.partition(os.sep)[0] for path in paths}
    if outside := sum(path.partition(os.sep)[0] == os.pardir for path in paths):
        images = "1 image lies" if outside == 1 else f"{outside:,} images lie"
        listing.notes.append(f"{images} outside of {readable(root)}, where the label file's paths lead")
    if unused := [name for name in visible_folders(root) if name not in used]:
        listing.notes.append(f"not used, as no label file names anything in it: {some(unused)}")
    return listing


def _expect_labels(read: LabelRows) -> None:
    if not read.columns[1]:
        several = f"; {some(read.numbers)} hold numbers: give `targets` regression, or multilabel where all are 0 or 1"
        raise InvalidInputError(
            f"{readable(read.path)} has no column of labels; expected one called {', '.join(LABEL_COLUMNS)}"
            f"{several if read.numbers else ''}."
        )


def _parts_of(classes: Sequence[str]) -> list[str]:
    """The words that labels are put together from; empty unless that makes them fewer than the labels are."""
    split = [[part for part in re.split(r"[;,|\s]+", name) if part] for name in classes]
    parts = sorted({part for own in split for part in own})
    return parts if len(parts) < len(classes) and 2 * sum(len(own) > 1 for own in split) >= len(classes) else []


def _not_named(listing: Listing) -> list[Skipped]:
    """Files beside those that are used that no label file names."""
    used = {file.name for files in listing.splits.values() for file in files}
    known = used | {one.name for one in listing.skipped}
    found = []
    for folder in sorted({os.path.dirname(name) for name in used}):
        with os.scandir(listing.root / folder) as entries:
            names = [e.name for e in entries if not (e.name.startswith(".") or is_litter(e.name)) and e.is_file()]
        files = [os.path.join(folder, name) for name in sorted(names) if not is_label_file(name)]
        found += [Skipped(name, "", "in no label file") for name in files if name not in known]
    return found


def _order(label: str) -> tuple[int, str]:
    """Numbers by value: labels 0 to 10 keep the order that the file means."""
    return (int(label), "") if label.isdecimal() and label.isascii() and len(label) < 10 else (1 << 60, label)


def _skipped_of(listing: Listing) -> str:
    return f"Not used: {listing.skipped[0].name} ({listing.skipped[0].reason})." if listing.skipped else ""


def _note_columns(listing: Listing, read: LabelRows) -> None:
    file, label, split = read.columns
    splits = f", splits of column {split!r}" if split else ""
    listing.notes.append(
        f"{readable(read.path.name)}: files are those of column {file!r}, labels of column {label!r}{splits}"
    )


def found_rows(listing: Listing, read: LabelRows) -> list[tuple[str, str, os.stat_result, str]]:
    """The rows whose files are there: name relative to the root, label, status and split as written."""
    prefix, suffix = _place(listing.root, read)
    found, seen = [], set()
    for written, label, split in read.rows:
        name = prefix + written + suffix
        status = _status(listing.root / name)
        reason = ""
        if status is None:
            reason = "not there"
        elif not label:
            reason = "without a label"
        elif (name, label) in seen:
            reason = "listed twice"
        elif not status.st_size:
            reason = "empty"
        if status is None or reason:
            listing.skipped.append(Skipped(name, label, reason))
            continue
        seen.add((name, label))
        found.append((name, label, status, split))
    return found


def _place(root: Path, read: LabelRows) -> tuple[str, str]:
    """The folder in which most files of the rows are, relative to the root, and the ending that their names lack."""
    own = os.path.relpath(read.path.parent, root)
    folders = ["" if own == "." else f"{own}/", "", *(f"{name}/" for name in visible_folders(root))]
    tried = [name for name, _, _ in read.rows[:_TRIED]]
    best = max(
        ((folder, suffix) for suffix in _SUFFIXES for folder in folders),
        key=lambda place: sum(_status(root / f"{place[0]}{name}{place[1]}") is not None for name in tried),
    )
    if all(_status(root / f"{best[0]}{name}{best[1]}") is None for name, _, _ in read.rows):
        looked = ", ".join(readable(root / folder) for folder in dict.fromkeys(folders))
        raise InvalidInputError(
            f"no file that {readable(read.path)} names is there, e.g. {read.rows[0][0]!r} (looked in {looked}); "
            f"column {read.columns[0]!r} must hold paths relative to the label file."
        )
    return best


def _status(path: Path) -> os.stat_result | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _has_columns(path: Path) -> bool:
    try:
        return bool(read_label_file(path).columns[1])
    except InvalidInputError:
        return False
