"""A folder of images as a task: listing, validating and reading it, with a cache of the decoded images."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from gennas.errors import InvalidInputError
from gennas.files import replacing
from gennas.paths import gennas_home
from gennas.tasks.base import ImageSource, Split, Splits, Task, stratified

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_FORMAT = "expected train/<class>/*.png (or jpg), and optionally val/ and test/ with the same layout"
_HELD_OUT = 0.2
_NAMED = 5
# To be increased when decoding changes, which invalidates older caches.
_CACHE_VERSION = 1


@dataclass(frozen=True)
class ImageFolder(ImageSource):
    """A folder with ``train/<class>/*`` and optionally ``val/`` and ``test/``.

    Attributes:
        path: absolute path of the folder.
        size: side in pixels that images are resized to.
        classes: names of the class folders in ``train/``, sorted.
        fingerprint: hash of all file names, sizes and modification times.
    """

    path: Path
    size: int
    classes: tuple[str, ...]
    fingerprint: str

    @classmethod
    def open(cls, path: Path, size: int) -> ImageFolder:
        """Lists and validates a folder without reading any image.

        Raises:
            InvalidInputError: the path is not a folder or has no ``train/``; there are fewer than two classes, or a
                class without images; or ``val/`` or ``test/`` has classes that ``train/`` lacks.
        """
        path = path.resolve()
        if not path.is_dir():
            raise InvalidInputError(f"{path} is a file; {_FORMAT}. Unpack archives first.")
        if not any(path.iterdir()):
            raise InvalidInputError(f"folder {path} is empty; {_FORMAT}.")
        if not (path / "train").is_dir():
            raise InvalidInputError(f"folder {path} has no train/; {_FORMAT}.")
        classes = _class_names(path / "train")
        if len(classes) < 2:
            found = f"only one class, {classes[0]!r}" if classes else "no class folders"
            raise InvalidInputError(f"{path / 'train'} has {found}; expected at least two classes: {_FORMAT}.")
        listing = []
        for split in _split_names(path):
            if unknown := sorted(set(_class_names(path / split)) - set(classes)):
                raise InvalidInputError(
                    f"{path / split} has classes that are not in train/: {_some(unknown)}; "
                    f"expected those of train/: {_some(classes)}."
                )
            files = _images(path / split, classes)
            present = {label for _, label in files}
            missing = [name for label, name in enumerate(classes) if label not in present]
            if split == "train" and missing:
                raise InvalidInputError(
                    f"{path / split} has no png or jpg files for {_some(missing)}; add images, or remove the class."
                )
            if not files:
                raise InvalidInputError(f"{path / split} has no images; {_FORMAT}. Add images, or remove the folder.")
            for file, _ in files:
                stat = file.stat()
                listing.append((str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns))
        content = json.dumps([_CACHE_VERSION, size, classes, listing])
        return cls(path, size, tuple(classes), sha256(content.encode()).hexdigest())

    def task(self, reserved: Collection[str]) -> Task:
        """The task, named after the folder.

        Args:
            reserved: names of other tasks; "-folder" is appended to a folder's name if it is one of these.
        """
        name = re.sub(r"\s+", "-", self.path.name) or "images"
        notes = []
        if name in reserved:
            notes.append(f"this task is called {name}-folder, because {name} is a built-in task")
            name += "-folder"
        counts = Counter(path.name for path in self.path.iterdir())
        if not counts["val"]:
            notes.append(f"no val/ folder: a fixed {_HELD_OUT:.0%} of train/ is held out for validation")
        if not counts["test"]:
            notes.append("no test/ folder: no test accuracy is reported")
        return Task(name, (3, self.size, self.size), len(self.classes), self.classes, self, tuple(notes))

    def read(self, seed: int) -> Splits:
        """Reads all images, from the cache in ``GENNAS_HOME`` unless the folder has changed.

        Raises:
            InvalidInputError: a class in ``train/`` has no readable image, another split has none at all, or there are
                too few images to hold some out.
        """
        cache = (
            gennas_home() / "cache" / "tasks" / f"{sha256(f'{self.path}:{self.size}'.encode()).hexdigest()[:16]}.npz"
        )
        cached = _load(cache, self.fingerprint)
        if cached is None:
            cached = self._decode()
            # The cache is optional: a full disk or a read-only home must not fail the read.
            with suppress(OSError):
                _save(cache, self.fingerprint, *cached)
        splits, notes = cached
        train, val = splits["train"], splits.get("val")
        if val is None:
            held_out, rest = stratified(train.labels, (_HELD_OUT,), seed)
            if not len(held_out):
                raise InvalidInputError(
                    f"{self.path / 'train'} has only one readable image per class, too few to hold some out for "
                    "validation; add images, or a val/ folder."
                )
            train, val = train.take(rest), train.take(held_out)
        return Splits(train, val, splits.get("test"), notes)

    def _decode(self) -> tuple[dict[str, Split], tuple[str, ...]]:
        """All splits of the folder, and notes about its files."""
        sizes: Counter[tuple[int, int]] = Counter()
        corrupt: list[str] = []
        splits = {}
        for split in _split_names(self.path):
            images, labels = [], []
            for file, label in _images(self.path / split, self.classes):
                decoded = _decode_image(file, self.size)
                if decoded is None:
                    corrupt.append(str(file.relative_to(self.path)))
                    continue
                sizes[decoded[1]] += 1
                images.append(decoded[0])
                labels.append(label)
            empty = [name for label, name in enumerate(self.classes) if label not in set(labels)]
            if (split == "train" and empty) or not images:
                what = f"class {_some(empty)}" if images else "any class"
                raise InvalidInputError(
                    f"{self.path / split} has no readable image of {what}; corrupt files: {_some(corrupt)}. "
                    "Replace them, or remove the class."
                )
            splits[split] = Split(np.stack(images), np.array(labels, dtype=np.int64))
        notes = []
        side = f"{self.size}x{self.size}"
        if len(sizes) > 1:
            notes.append(f"images of {len(sizes)} different sizes resized to {side}")
        elif (only := next(iter(sizes))) != (self.size, self.size):
            notes.append(f"{only[0]}x{only[1]} images resized to {side}")
        if corrupt:
            notes.append(f"{len(corrupt)} corrupt image{'s' * (len(corrupt) > 1)} skipped: {_some(corrupt)}")
        return splits, tuple(notes)


def _decode_image(file: Path, size: int) -> tuple[np.ndarray, tuple[int, int]] | None:
    """``(3, size, size)`` uint8 and the original (width, height); None if the file cannot be decoded."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image: Image.Image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):
                # Pillow clips 16-bit grey to white instead of scaling it.
                image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
            if "transparency" in image.info:
                image = image.convert("RGBA")
            resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except Exception:
        # Pillow's decoders raise many different exceptions for damaged files.
        return None
    return np.asarray(resized).transpose(2, 0, 1), image.size


def _split_names(path: Path) -> list[str]:
    return [name for name in ("train", "val", "test") if (path / name).is_dir()]


def _class_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path, classes: Collection[str]) -> list[tuple[Path, int]]:
    """The image files of a split with their labels, in a fixed order."""

    def listed() -> Iterator[tuple[Path, int]]:
        for label, name in enumerate(classes):
            for file in sorted((folder / name).glob("*")):
                if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file():
                    yield file, label

    return list(listed())


def _some(names: Collection[str]) -> str:
    """The first few names, and the number of others."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(list(names)[:_NAMED]) + more


def _save(cache: Path, fingerprint: str, splits: dict[str, Split], notes: tuple[str, ...]) -> None:
    arrays = {f"{name}_{part}": getattr(split, part) for name, split in splits.items() for part in ("images", "labels")}
    with replacing(cache) as temporary, temporary.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps({"fingerprint": fingerprint, "notes": notes})), **arrays)


def _load(cache: Path, fingerprint: str) -> tuple[dict[str, Split], tuple[str, ...]] | None:
    """The cached splits and notes; None if there are none for this fingerprint."""
    try:
        with np.load(cache, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            if facts["fingerprint"] != fingerprint:
                return None
            names = [name.removesuffix("_images") for name in arrays.files if name.endswith("_images")]
            splits = {name: Split(arrays[f"{name}_images"], arrays[f"{name}_labels"]) for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # No cache yet, or a damaged one: the images are decoded again.
        return None
    return splits, tuple(facts["notes"])
