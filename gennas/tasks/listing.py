"""The files of a folder of images, as they are listed before any is opened: which may be images, and why others not."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gennas.errors import InvalidInputError
from gennas.paths import readable

#: Why a file is skipped that lies in a folder within the folder of its class.
NESTED = "in a subfolder"
EXPECTED = (
    "expected a folder per class (photos/cat/1.jpg), in train/ and optionally val/ and test/ or directly, or a CSV "
    "with a column of files and one of labels"
)
#: What people call the splits, in any case.
SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
#: What operating systems, archives and tools leave behind.
_LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "lost+found", "__pycache__"}
_LITTER |= {".ds_store", ".ipynb_checkpoints", ".gitkeep", ".gitignore", ".git"}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that may be an image.

    Attributes:
        name: path relative to the root of the listing, or absolute where a label file says so.
        label: index of its class.
        size: bytes.
        modified: time of its last change, nanoseconds.
    """

    name: str
    label: int
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not used.

    Attributes:
        name: as of :class:`ImageFile`.
        label: name of its class; empty where it belongs to none.
        reason: a few words, such as ``damaged``.
    """

    name: str
    label: str
    reason: str


@dataclass
class Listing:
    """What a folder of images, or a label file, holds.

    Attributes:
        root: what names are relative to.
        classes: their names, in the order of the labels.
        splits: ``train`` and, where there are any, ``val`` and ``test`` -> their files, in a fixed order.
        skipped: files that are not used.
        notes: sentences for the user.
    """

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, list[ImageFile]]
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def split_of(name: str) -> str | None:
    """The split that a folder, a file or a value of a column is named after; None for another name."""
    name = same_name(name).strip().casefold()
    return next((split for split, names in SPLITS.items() if name in names), None)


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few names, and the number of others."""
    listed = [readable(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def is_litter(name: str) -> bool:
    """Whether a name says that nobody means it to be read."""
    return name.casefold() in _LITTER or name.startswith("._")


def same_name(name: str) -> str:
    """A name as it is compared: macOS writes an umlaut as two characters, Linux as one."""
    return unicodedata.normalize("NFC", name)


def visible_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; hidden ones and litter are left out.

    Raises:
        InvalidInputError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                e.name for e in entries if not e.name.startswith(".") and not is_litter(e.name) and e.is_dir()
            )
    except OSError as error:
        raise _unreadable(folder, error) from error


def files_below(folder: Path, *, nested: bool) -> Iterator[tuple[str, os.stat_result | None, str]]:
    """All files below a folder: name relative to it, its status, and why it is not used (empty for a candidate).

    Links are followed; a folder that was read already, as in a loop of links, is not read again.

    Args:
        folder: of a class.
        nested: whether files in subfolders are candidates.

    Raises:
        InvalidInputError: the folder cannot be read.
    """
    # Whoever follows a link to a folder above reads other classes as this one.
    above = {*folder.absolute().parents, *folder.resolve().parents}
    seen = {(status.st_dev, status.st_ino) for status in map(os.stat, above)}

    def walk(inside: Path, prefix: str) -> Iterator[tuple[str, os.stat_result | None, str]]:
        status = inside.stat()
        if (status.st_dev, status.st_ino) in seen:
            yield prefix, None, "link to a folder above, or one that is read already"
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(inside) as scanned:
            entries = list(scanned)
        for entry in entries:
            name = prefix + entry.name
            if is_litter(entry.name):
                continue
            if entry.is_dir():
                if not entry.name.startswith("."):
                    try:
                        yield from walk(Path(entry.path), f"{name}/")
                    except OSError as error:
                        yield name, None, _why(error)
                continue
            try:
                status = entry.stat()
            except OSError as error:
                yield name, None, _why(error)
                continue
            yield name, status, _defect(entry.name, status) or (NESTED if prefix and not nested else "")

    try:
        yield from walk(folder, "")
    except OSError as error:
        raise _unreadable(folder, error) from error


def _defect(name: str, status: os.stat_result) -> str:
    if name.startswith("."):
        return "hidden"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "" if status.st_size else "empty"


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "broken link"
    return "no permission" if isinstance(error, PermissionError) else (error.strerror or "unreadable").lower()


def _unreadable(folder: Path, error: OSError) -> InvalidInputError:
    return InvalidInputError(
        f"folder {readable(folder)} cannot be read ({error.strerror or type(error).__name__}); check its permissions."
    )
