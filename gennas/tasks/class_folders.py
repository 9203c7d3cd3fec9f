"""Class folders: ``<split>/<class>/*``, or ``<class>/*``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from gennas.errors import InvalidInputError
from gennas.paths import readable
from gennas.tasks.listing import (
    EXPECTED,
    NESTED,
    ImageFile,
    Listing,
    Skipped,
    files_below,
    is_litter,
    same_name,
    some,
    visible_folders,
)


def list_class_folders(root: Path, splits: Mapping[str, str], *, nested: bool) -> Listing:
    """Lists the files of class folders.

    Args:
        root: what names are relative to.
        splits: split -> its folder in ``root``, empty for ``root`` itself; ``train`` is among them.
        nested: whether files in subfolders of classes are read.

    Raises:
        InvalidInputError: fewer than two classes; a class without files; a split without any, or with a class that
            ``train`` lacks.
    """
    train = _merged(visible_folders(root / splits["train"]))
    classes = tuple(train)
    where = readable(root / splits["train"])
    if len(classes) < 2:
        found = f"only one class, {readable(classes[0])!r}" if classes else "no class folders"
        raise InvalidInputError(f"{where} has {found}; a task has at least two: {EXPECTED}.")
    listing = Listing(root, tuple(readable(name) for name in classes), {})
    if len(set(listing.classes)) < len(classes):
        raise InvalidInputError(f"{where} has classes whose names are the same when they are printed; rename them.")
    _note_similar(listing)
    for split in ("train", "val", "test"):
        if split not in splits:
            continue
        folder = splits[split]
        names = train if split == "train" else _matched(root / folder, classes, listing)
        stray = _stray(root / folder) if folder else []
        if split == "test" and not names and stray:
            listing.notes.append(f"{folder}/ is not used, as no file in it ({len(stray)}) is in a class folder")
            continue
        listing.skipped += [Skipped(f"{folder}/{name}", "", "in no class folder") for name in stray]
        listing.splits[split] = _listed(listing, folder, [names.get(name, []) for name in classes], nested)
        _refuse_empty(listing, split, folder)
    return listing


def _merged(folders: list[str]) -> dict[str, list[str]]:
    """Class -> its folders: two where one name was written in two ways of Unicode."""
    merged: dict[str, list[str]] = {}
    for name in folders:
        merged.setdefault(same_name(name), []).append(name)
    return merged


def _matched(folder: Path, classes: tuple[str, ...], listing: Listing) -> dict[str, list[str]]:
    """Class -> its folders in another split than ``train``, where names may differ in case."""
    folded: dict[str, list[str]] = {}
    for name in classes:
        folded.setdefault(name.casefold(), []).append(name)
    matched: dict[str, list[str]] = {}
    foreign = []
    for name, raw in _merged(visible_folders(folder)).items():
        alike = [name] if name in classes else folded.get(name.casefold(), [])
        if len(alike) == 1:
            matched.setdefault(alike[0], []).extend(raw)
            if alike[0] != name:
                listing.notes.append(f"{folder.name}/{readable(name)} is taken for class {readable(alike[0])}")
        else:
            foreign.append(readable(name))
    if foreign:
        raise InvalidInputError(
            f"{readable(folder)} has classes that are not in train/: {some(foreign)}; "
            f"expected those of train/: {some(listing.classes)}."
        )
    return matched


def _note_similar(listing: Listing) -> None:
    folded = Counter(name.casefold() for name in listing.classes)
    if similar := [name for name in listing.classes if folded[name.casefold()] > 1]:
        listing.notes.append(f"classes that differ in case only are different classes: {some(similar)}")


def _stray(folder: Path) -> list[str]:
    """Files of a split that are in no class."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and not is_litter(e.name) and e.is_file())


def _listed(listing: Listing, folder: str, classes: list[list[str]], nested: bool) -> list[ImageFile]:
    files = []
    for label, raw in enumerate(classes):
        found = []
        for name in raw:
            prefix = f"{folder}/{name}" if folder else name
            for inner, status, defect in files_below(listing.root / prefix, nested=nested):
                if status is None or defect:
                    listing.skipped.append(Skipped(f"{prefix}/{inner}", listing.classes[label], defect))
                else:
                    found.append(ImageFile(f"{prefix}/{inner}", label, status.st_size, status.st_mtime_ns))
        files += sorted(found, key=lambda file: file.name)
    return files


def _refuse_empty(listing: Listing, split: str, folder: str) -> None:
    present = {file.label for file in listing.splits[split]}
    missing = [name for label, name in enumerate(listing.classes) if label not in present]
    where = readable(listing.root / folder)
    if not present and split != "train":
        raise InvalidInputError(f"{where} has no images; {EXPECTED}. Add images, or remove the folder.")
    if split == "train" and missing:
        inside = f"{folder}/" if folder else ""
        causes = [_cause(listing, name, [s for s in listing.skipped if s.name.startswith(inside)]) for name in missing]
        raise InvalidInputError(f"{where} has no images for {some(causes)}; add images, or remove the class.")
    if missing and split != "train":
        listing.notes.append(f"{folder}/ has no images for {some(missing)}")


def _cause(listing: Listing, name: str, skipped: list[Skipped]) -> str:
    reasons = Counter(one.reason for one in skipped if one.label == name)
    if not reasons:
        return f"{name} (an empty folder)"
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"{name} ({counts}{': give `nested` to read them' if NESTED in reasons else ''})"
