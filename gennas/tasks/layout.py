"""Layouts of folders of images: which splits and classes there are, told from the names of folders and files."""

from __future__ import annotations

from pathlib import Path

from gennas.errors import InvalidInputError
from gennas.paths import readable
from gennas.tasks.class_folders import list_class_folders
from gennas.tasks.label_files import find_label_files, is_label_file, list_labelled
from gennas.tasks.listing import EXPECTED, Listing, is_litter, some, split_of, visible_folders


def list_images(path: Path, *, nested: bool) -> Listing:
    """Lists the files of a folder of images, or of a label file, without opening any image.

    Read are, in this order: ``train/<class>/*`` with ``val/`` and ``test/``; label files (``train.csv``,
    ``labels.csv``, ``train/metadata.jsonl``, ...); ``<class>/*``.

    Args:
        path: absolute.
        nested: whether files in subfolders of classes are read.

    Raises:
        InvalidInputError: none of these; fewer than two classes, or one without files; or classes in ``val/`` or
            ``test/`` that ``train/`` lacks.
    """
    if not path.is_dir():
        if not is_label_file(path.name):
            raise InvalidInputError(f"{readable(path)} is a file; {EXPECTED}. Unpack archives first.")
        return list_labelled(path.parent, {"": path})
    try:
        entries = sorted(e.name for e in path.iterdir() if not is_litter(e.name) and not e.name.startswith("."))
    except OSError as error:
        raise InvalidInputError(f"folder {readable(path)} cannot be read ({error.strerror}).") from error
    if not entries:
        raise InvalidInputError(f"folder {readable(path)} is empty; {EXPECTED}.")
    folders = visible_folders(path)
    splits = _split_folders(path, folders)
    if "train" in splits and visible_folders(path / splits["train"]):
        listing = list_class_folders(path, splits, nested=nested)
        unused = [name for name in folders if name not in splits.values()]
        labels = [name for name in entries if is_label_file(name) and (path / name).is_file()]
        if unused or labels:
            listing.notes.append(
                f"not used, as the classes are the folders in {splits['train']}/: {some(unused + labels)}"
            )
        return listing
    if found := find_label_files(path, splits):
        return list_labelled(path, found)
    if splits and (set(splits) != {"train"} or len(folders) < 2):
        return _refuse_splits(path, splits)
    if len(folders) < 2:
        _refuse_wrapper(path, folders)
    listing = list_class_folders(path, {"train": ""}, nested=nested)
    if splits:
        listing.notes.append(f"{splits['train']}/ is taken for a class, as it has no class folders")
    return listing


def _split_folders(path: Path, folders: list[str]) -> dict[str, str]:
    """Split -> the name of its folder."""
    found: dict[str, str] = {}
    for name in folders:
        split = split_of(name)
        if split is None:
            continue
        if split in found:
            raise InvalidInputError(
                f"{readable(path)} has {readable(found[split])}/ and {readable(name)}/, which both name the {split} "
                "split; rename one of them."
            )
        found[split] = name
    return found


def _refuse_splits(path: Path, splits: dict[str, str]) -> Listing:
    if "train" not in splits:
        only = ", ".join(f"{name}/" for name in splits.values())
        raise InvalidInputError(f"{readable(path)} has {only} but no train/; {EXPECTED}.")
    raise InvalidInputError(
        f"{readable(path / splits['train'])} has no class folders, and no label file names its files; {EXPECTED}."
    )


def _refuse_wrapper(path: Path, folders: list[str]) -> None:
    inside = [path / name for name in folders]
    for folder in inside:
        if len(visible_folders(folder)) > 1 or _split_folders(folder, visible_folders(folder)):
            raise InvalidInputError(f"{readable(path)} holds one folder only; did you mean {readable(folder)}?")
    found = f"only one class, {readable(folders[0])!r}" if folders else "no class folders"
    raise InvalidInputError(f"{readable(path)} has {found}; a task has at least two: {EXPECTED}.")
