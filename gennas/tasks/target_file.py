"""Label files whose targets are values, or several labels per image."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from gennas.errors import InvalidInputError
from gennas.paths import readable
from gennas.progress import progress, silent
from gennas.tasks import pixel_cache
from gennas.tasks.base import Split, Splits, expect_images
from gennas.tasks.decoding import UnreadableError, decode
from gennas.tasks.folder import ImageFolder, size_notes, task_name
from gennas.tasks.label_files import find_label_files
from gennas.tasks.listing import Skipped, split_of, visible_folders
from gennas.tasks.pixel_cache import Decoded
from gennas.tasks.reading_report import ReadingReport
from gennas.tasks.splitting import NO_TEST, NO_VAL, splits_of
from gennas.tasks.target_rows import TargetListing, has_files, list_targets
from gennas.tasks.targets import CLASSIFICATION, TargetKind

_MANY = 2_000
#: To be increased when reading changes, which invalidates older caches.
_VERSION = 1


@dataclass(frozen=True)
class TargetFile(ImageFolder):
    """The images that label files name, with targets of another kind than one class each.

    Attributes:
        targets: their kind; ``classes`` are the names of the values or labels.
    """

    targets: TargetKind = CLASSIFICATION

    @classmethod
    def read_as(cls, path: Path, size: int, targets: TargetKind) -> TargetFile:
        """Lists and checks the files without reading any image.

        Args:
            path: of a label file, or of a folder with one, or with one for every split.
            size: side in pixels that images are resized to.
            targets: their kind.

        Raises:
            InvalidInputError: a label file cannot be read, lacks a column, has a target that is none of the kind, or
                names no file that is there.
        """
        path = path.resolve()
        listing = _listed(path, targets)
        files = {
            split: [(file.name, file.size, file.modified, listing.targets[file.label].tolist()) for file in found]
            for split, found in listing.files.splits.items()
        }
        content = json.dumps([_VERSION, size, targets.name, listing.names, files])
        splits = listing.files.splits
        absent = [note for split, note in (("val", NO_VAL), ("test", NO_TEST)) if split not in splits]
        resizing = size_notes(listing.files, size)
        notes = (*listing.files.notes, *absent, *resizing)
        digest = sha256(content.encode()).hexdigest()
        return cls(path, size, listing.names, digest, notes=notes, resizing="".join(resizing), targets=targets)

    def opened_at(self, side: int) -> TargetFile:
        return TargetFile.read_as(self.path, side, self.targets)

    def read(self, seed: int) -> Splits:
        """Reads all images, from the cache in ``GENNAS_HOME`` unless something has changed, and logs what was read.

        Raises:
            InvalidInputError: no image of a split can be read, or there is nothing to learn.
        """
        name = f"{self.path}:{self.size}:{self.targets.name}"
        decoded = pixel_cache.cached(name, self.fingerprint, self._decode)
        notes = decoded.report.sentences()
        splits = splits_of(decoded.splits, self.targets, seed, readable(self.path.stem), notes)
        decoded.report.log(task_name(self.path), (*self.notes, *notes))
        return splits

    def unreadable(self) -> tuple[str, ...]:
        skipped = tuple(_listed(self.path, self.targets).files.skipped)
        return ReadingReport((), {}, skipped, ()).sentences()

    def _decode(self) -> Decoded:
        """All splits of the label files, and what is to be said about their files."""
        listing = _listed(self.path, self.targets)
        files, skipped = listing.files, list(listing.files.skipped)
        total = sum(map(len, files.splits.values()))
        expect_images(total, self.size)
        splits, checksums, done = dict[str, Split](), dict[str, np.ndarray](), 0
        watched = progress("reading images", total) if total >= _MANY else nullcontext(silent)
        with warnings.catch_warnings(), watched as report:
            # Pillow's on large and on damaged files; both are reported here.
            warnings.simplefilter("ignore")
            for split, found in files.splits.items():
                images, rows = np.empty((len(found), 3, self.size, self.size), np.uint8), list[int]()
                for file in found:
                    try:
                        images[len(rows)] = decode(os.path.join(files.root, file.name), self.size).pixels
                        rows.append(file.label)
                    except UnreadableError as error:
                        skipped.append(Skipped(file.name, "", str(error)))
                    done += 1
                    report(done, "")
                if not rows:
                    raise InvalidInputError(f"the {split} split of {readable(self.path)} has no readable image.")
                targets = self.targets.checked(listing.targets[rows], len(self.classes), f"the {split} images")
                splits[split] = Split(images[: len(rows)], targets)
                checksums[split] = np.zeros(len(rows), np.uint64)
        read = {split: [len(part)] for split, part in splits.items()}
        return Decoded(splits, checksums, ReadingReport((), read, tuple(skipped), ()))


def _listed(path: Path, targets: TargetKind) -> TargetListing:
    if not path.is_dir():
        return list_targets(path.parent, {"": path}, targets)
    splits: Mapping[str, str] = {split: name for name in visible_folders(path) if (split := split_of(name))}
    if not (found := find_label_files(path, splits, has_files)):
        raise InvalidInputError(
            f"{readable(path)} has no label file; expected a CSV with a column of files and the {targets.outputs}."
        )
    return list_targets(path, found, targets)
