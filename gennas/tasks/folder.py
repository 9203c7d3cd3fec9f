"""A folder of images as a task: listed and validated first, read when needed, with a cache of what was decoded."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np

from gennas.errors import InvalidInputError
from gennas.paths import readable
from gennas.progress import progress, silent
from gennas.tasks import pixel_cache
from gennas.tasks.base import ImageSource, Split, Splits, Task, expect_images, stratified
from gennas.tasks.decoding import STEPS, UnreadableError, decode, dimensions, head_defect
from gennas.tasks.layout import list_images
from gennas.tasks.listing import Listing, Skipped, some
from gennas.tasks.pixel_cache import Decoded
from gennas.tasks.reading_report import ReadingReport, equal_images, narrow_ranges
from gennas.tasks.splitting import HELD_OUT

#: Heads of files that are looked at to say what becomes of the images.
_SAMPLED = 32
# A class is rare with fewer images than the median one has, divided by this.
_RARE = 5
#: Begins the advice in a note on a size that the user chose.
_ADVICE = "; for more detail give"
#: From this many files on, reading takes long enough to be watched.
_MANY = 2_000
#: To be increased when decoding changes, which invalidates older caches.
_CACHE_VERSION = 3


@dataclass(frozen=True)
class ImageFolder(ImageSource):
    """A folder of images, or a label file; for the layouts see :func:`gennas.tasks.layout.list_images`.

    Attributes:
        path: absolute path of the folder, or of the label file.
        size: side in pixels that images are resized to.
        classes: names of the classes, in the order of the labels.
        fingerprint: hash of all file names, sizes and modification times.
        nested: whether files in subfolders of classes are read.
        notes: what the user should know of the folder before its images are read.
        resizing: that of these which says how images are resized; empty where they are not.
    """

    path: Path
    size: int
    classes: tuple[str, ...]
    fingerprint: str
    nested: bool = False
    notes: tuple[str, ...] = ()
    resizing: str = ""

    @classmethod
    def open(cls, path: Path, size: int, *, nested: bool = False) -> ImageFolder:
        """Lists and validates a folder without reading more than the heads of some images.

        Args:
            path: of a folder, or of a label file.
            size: side in pixels.
            nested: whether files in subfolders of classes are read.

        Raises:
            InvalidInputError: as of :func:`gennas.tasks.layout.list_images`.
        """
        path = path.resolve()
        listing = list_images(path, nested=nested)
        files = {
            split: [(file.name, file.label, file.size, file.modified) for file in found]
            for split, found in listing.splits.items()
        }
        content = json.dumps([_CACHE_VERSION, size, nested, listing.classes, files])
        resizing = size_notes(listing, size)
        notes = (*listing.notes, *_split_notes(listing), *_rare_notes(listing), *resizing)
        return cls(path, size, listing.classes, sha256(content.encode()).hexdigest(), nested, notes, "".join(resizing))

    def task(self, reserved: Collection[str]) -> Task:
        """The task, named after the folder.

        Args:
            reserved: names of other tasks; "-folder" is appended to a folder's name if it is one of these.
        """
        name, notes = task_name(self.path), []
        if name in reserved:
            notes.append(f"this task is called {name}-folder, because {name} is a built-in task")
            name += "-folder"
        shape = (3, self.size, self.size)
        return Task(name, shape, len(self.classes), self.classes, self, (*notes, *self.notes))

    def resized(self, task: Task, side: int) -> Task:
        """The task with the files read again at another size.

        Raises:
            InvalidInputError: the folder is no longer valid.
        """
        source = _at(self, side)
        notes = (*(note for note in task.notes if note not in self.notes), *source.notes)
        return replace(task, input_shape=(3, side, side), source=source, notes=notes)

    def opened_at(self, side: int) -> ImageFolder:
        """The same files, listed again, for images of another size."""
        return ImageFolder.open(self.path, side, nested=self.nested)

    def preprocessing(self) -> dict[str, Any]:
        """How an image file becomes an input; see :meth:`ImageSource.preprocessing`."""
        return {"size": [self.size, self.size], **STEPS}

    def read(self, seed: int) -> Splits:
        """Reads all images, from the cache in ``GENNAS_HOME`` unless the folder has changed, and logs what was read.

        Raises:
            InvalidInputError: a class in ``train/`` has no readable image, another split has none at all, or there are
                too few images to hold some out.
        """
        decoded = pixel_cache.cached(f"{self.path}:{self.size}", self.fingerprint, self._decode)
        splits, notes = decoded.splits, decoded.report.sentences()
        train, val = splits["train"], splits.get("val")
        if val is None:
            held_out, rest = stratified(train.labels, (HELD_OUT,), seed)
            if not len(held_out):
                raise InvalidInputError(
                    f"{readable(self.path)} has only one readable image per class, too few to hold some out for "
                    "validation; add images, or a validation split."
                )
            notes += self._single(train.labels) + self._copies(decoded.checksums["train"], held_out, rest)
            train, val = train.take(rest), train.take(held_out)
        decoded.report.log(task_name(self.path), (*self.notes, *notes))
        return Splits(train, val, splits.get("test"), notes, is_drawn="val" not in splits)

    def unreadable(self) -> tuple[str, ...]:
        """A sentence on the files that reading will skip, as the heads of the first files say, without reading any."""
        listing = list_images(self.path, nested=self.nested)
        skipped = list(listing.skipped)
        files = [file for found in listing.splits.values() for file in found]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for file in files[:_MANY]:
                if defect := head_defect(os.path.join(listing.root, file.name)):
                    skipped.append(Skipped(file.name, self.classes[file.label], defect))
        return ReadingReport(self.classes, {}, tuple(skipped), ()).sentences()

    def _single(self, labels: np.ndarray) -> tuple[str, ...]:
        counts = np.bincount(labels, minlength=len(self.classes))
        single = [name for name, count in zip(self.classes, counts, strict=True) if count == 1]
        return (f"nothing is held out of classes with one image: {some(single)}",) if single else ()

    def _copies(self, checksums: np.ndarray, held_out: np.ndarray, rest: np.ndarray) -> tuple[str, ...]:
        copies = int(np.isin(checksums[held_out], checksums[rest]).sum())
        if not copies:
            return ()
        return (
            f"{copies} of {len(held_out)} images held out for validation equal one that is trained on, so that the "
            "accuracy is too good; remove the copies.",
        )

    def _decode(self) -> Decoded:
        """All splits of the folder, and what is to be said about its files."""
        listing = list_images(self.path, nested=self.nested)
        total = sum(map(len, listing.splits.values()))
        expect_images(total, self.size)
        skipped = list(listing.skipped)
        decoded = Decoded({}, {}, ReadingReport(self.classes, {}, (), ()))
        names, extremes = dict[str, list[str]](), list[tuple[int, int]]()
        watched = progress("reading images", total) if total >= _MANY else nullcontext(silent)
        with warnings.catch_warnings(), watched as report:
            # Pillow's on large and on damaged files; both are reported here.
            warnings.simplefilter("ignore")
            done = 0
            for split, files in listing.splits.items():
                images = np.empty((len(files), 3, self.size, self.size), dtype=np.uint8)
                labels, kept = np.empty(len(files), dtype=np.int64), list[str]()
                for file in files:
                    try:
                        picture = decode(os.path.join(listing.root, file.name), self.size)
                        images[len(kept)] = picture.pixels
                    except UnreadableError as error:
                        skipped.append(Skipped(file.name, self.classes[file.label], str(error)))
                    else:
                        extremes += [picture.extremes] if picture.extremes else []
                        labels[len(kept)] = file.label
                        kept.append(file.name)
                    done += 1
                    report(done, "")
                decoded.splits[split] = Split(images[: len(kept)], labels[: len(kept)])
                decoded.checksums[split] = np.array([_checksum(image) for image in images[: len(kept)]], np.uint64)
                names[split] = kept
                self._refuse_empty(split, decoded.splits[split], skipped)
        labels_of = {split: part.labels for split, part in decoded.splits.items()}
        side = f"{self.size}x{self.size}"
        notes = [
            *narrow_ranges(extremes),
            *equal_images(names, labels_of, decoded.checksums, self.classes, side),
        ]
        read = {split: np.bincount(found, minlength=len(self.classes)).tolist() for split, found in labels_of.items()}
        return Decoded(
            decoded.splits, decoded.checksums, ReadingReport(self.classes, read, tuple(skipped), tuple(notes))
        )

    def _refuse_empty(self, split: str, found: Split, skipped: list[Skipped]) -> None:
        present = set(found.labels.tolist())
        empty = [name for label, name in enumerate(self.classes) if label not in present]
        if (split == "train" and empty) or not present:
            what = f"class {some(empty)}" if present else "any class"
            causes = [f"{readable(one.name)} ({one.reason})" for one in skipped if one.label in empty]
            raise InvalidInputError(
                f"the {split} split of {readable(self.path)} has no readable image of {what}: {some(causes)}. Replace "
                "them, or remove the class."
            )


def task_name(path: Path) -> str:
    """The name of the task of a folder of images or of a label file: its own."""
    named = path if path.is_dir() else path.with_suffix("")
    # White space, commas and comparisons end the name of a metric.
    return readable(re.sub(r"[\s,<>]+", "-", named.name)) or "images"


@lru_cache(maxsize=64)
def _at(folder: ImageFolder, side: int) -> ImageFolder:
    """A folder at another size; asked for every arch that has a size of its own, it is listed once.

    The size is not the user's to choose, so that nothing is advised.
    """
    found = folder.opened_at(side)
    notes = tuple(note.partition(_ADVICE)[0] for note in found.notes)
    return replace(found, notes=notes, resizing=found.resizing.partition(_ADVICE)[0])


def _checksum(image: np.ndarray) -> int:
    return int.from_bytes(blake2b(image.tobytes(), digest_size=8).digest(), "big")


def _split_notes(listing: Listing) -> list[str]:
    notes = []
    if "val" not in listing.splits:
        notes.append(
            f"no validation split: {HELD_OUT:.0%} of every class, chosen by the seed, are held out for validation"
        )
    if "test" not in listing.splits:
        notes.append("no test split: no test accuracy is reported")
    return notes


def _rare_notes(listing: Listing) -> list[str]:
    """Classes that accuracy hardly sees, as they are rare among many images of others."""
    counts = np.bincount([file.label for file in listing.splits["train"]], minlength=len(listing.classes))
    rare = np.flatnonzero(counts * _RARE < np.median(counts))
    if not len(rare):
        return []
    named = some(f"{listing.classes[label]} ({counts[label]:,} of {counts.sum():,} images)" for label in rare)
    return [f"rare classes hardly count in the accuracy, look at balanced_accuracy: {named}"]


def size_notes(listing: Listing, size: int) -> list[str]:
    """What becomes of images of other sizes, told from some of them."""
    files = listing.splits["train"]
    sample = files[:: max(1, len(files) // _SAMPLED)][:_SAMPLED]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [dimensions(os.path.join(listing.root, file.name)) for file in sample]
    sizes = sorted({one for one in found if one is not None}, key=lambda one: one[0] * one[1])
    if not sizes or sizes == [(size, size)]:
        return []
    texts = [f"{width}x{height}" for width, height in sizes]
    which = texts[0] if len(texts) == 1 else f"different sizes ({texts[0]} to {texts[-1]})"
    is_square = all(width == height for width, height in sizes)
    shape = "without crop or padding" + ("" if is_square else ", their aspect ratio is not kept")
    larger = min(max(sizes[len(sizes) // 2]), 224)
    shrunk = sizes[-1][0] * sizes[-1][1] > size**2
    advice = f"{_ADVICE} `image_size`, e.g. {larger}" if shrunk and larger > size else ""
    return [f"images of {which} are {'shrunk' if shrunk else 'resized'} to {size}x{size}, {shape}{advice}"]
