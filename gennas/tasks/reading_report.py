"""What was read of a folder of images, what was not and why, and what its images have in common."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from gennas.paths import readable
from gennas.tasks.listing import NESTED, Skipped, some

_LOG = logging.getLogger(__name__)
#: Classes that are listed one by one.
_LISTED = 20
#: Of 256 grey levels so few are worth a word.
FEW_LEVELS = 64


@dataclass(frozen=True)
class ReadingReport:
    """What reading a folder gave.

    Attributes:
        classes: their names; empty where images have no classes.
        read: split -> number of images that were read per class, or in all.
        skipped: files that are not used.
        notes: sentences on the images that were read.
    """

    classes: tuple[str, ...]
    read: dict[str, list[int]]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """What the user should know, the reasons for files that were skipped first."""
        if not self.skipped:
            return self.notes
        by_reason: dict[str, list[str]] = {}
        for one in self.skipped:
            by_reason.setdefault(one.reason, []).append(one.name)
        parts = [f"{reason}: {len(names)} ({some(sorted(names), 3)})" for reason, names in by_reason.items()]
        nested = " Give `nested` to read those in subfolders." if NESTED in by_reason else ""
        count = len(self.skipped)
        return (f"{count:,} file{'s' * (count > 1)} skipped; {'; '.join(parts)}.{nested}", *self.notes)

    def log(self, name: str, notes: Sequence[str]) -> None:
        """Logs a line for every class, then notes, and at level DEBUG every file that was skipped.

        Args:
            name: of the folder.
            notes: sentences for the user.
        """
        totals = ", ".join(f"{sum(counts):,} {split}" for split, counts in self.read.items())
        of = f" of {len(self.classes)} classes" if self.classes else ""
        read = f"images{of} read: {totals}"
        _LOG.info("%s: %s; files skipped: %d", name, read, len(self.skipped))
        reasons: dict[str, Counter[str]] = {}
        for one in self.skipped:
            reasons.setdefault(one.label, Counter())[one.reason] += 1
        shown = [*self.classes, ""] if len(self.classes) <= _LISTED else [*reasons][:_LISTED]
        width = max((len(label) for label in shown), default=0)
        for label in shown:
            parts = [self._counts(label)] if label else ["in no class"] * bool(self.classes)
            if label in reasons:
                parts.append(f"skipped: {', '.join(f'{why} {count}' for why, count in reasons[label].items())}")
            elif not label:
                continue
            _LOG.info("  %s  %s", label.ljust(width), "; ".join(parts))
        if len(self.classes) > _LISTED:
            per_class = np.sum(list(self.read.values()), axis=0)
            _LOG.info("  from %d to %d images per class", per_class.min(), per_class.max())
        for note in notes:
            _LOG.info("  %s", note)
        for one in self.skipped:
            _LOG.debug("skipped %s: %s", readable(one.name), one.reason)

    def _counts(self, label: str) -> str:
        row = self.classes.index(label)
        return ", ".join(f"{counts[row]} {split}" for split, counts in self.read.items())

    def to_json(self) -> str:
        """The report as :meth:`from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ReadingReport:
        """Raises ValueError, KeyError or TypeError for anything but a report."""
        facts = json.loads(text)
        skipped = tuple(Skipped(**one) for one in facts["skipped"])
        return cls(tuple(facts["classes"]), facts["read"], skipped, tuple(facts["notes"]))


def equal_images(
    names: Mapping[str, Sequence[str]],
    labels: Mapping[str, np.ndarray],
    checksums: Mapping[str, np.ndarray],
    classes: Sequence[str],
    side: str,
) -> list[str]:
    """Sentences on images that are equal although they should not be.

    Args:
        names: split -> ``n`` names of files.
        labels: split -> ``(n,)`` classes.
        checksums: split -> ``(n,)`` checksums of the pixels.
        classes: names of the classes.
        side: to which images were resized before they were compared, e.g. ``32x32``.
    """
    splits = [split for split in names for _ in names[split]]
    every = [name for split in names for name in names[split]]
    label = np.concatenate([labels[split] for split in names])
    groups: dict[int, list[int]] = {}
    for row, checksum in enumerate(np.concatenate([checksums[split] for split in names]).tolist()):
        groups.setdefault(checksum, []).append(row)
    equal = [rows for rows in groups.values() if len(rows) > 1]
    notes = []
    places: tuple[tuple[str, Sequence[object]], ...] = (
        ("in several splits", splits),
        ("in several classes", label.tolist()),
    )
    if "val" not in names:
        # Some of them will be held out from their copies.
        places += (("more than once in one class", range(len(every))),)
    for what, place in places:
        several = [rows for rows in equal if len({place[row] for row in rows}) > 1]
        if what.startswith("more"):
            several = [rows for rows in several if len(set(label[rows].tolist())) == 1]
        if several:
            pairs = [_pair(rows, place, every) for rows in several]
            count = f"{len(several)} picture{'s are' if len(several) > 1 else ' is'}"
            notes.append(f"{count} there {what} (equal pixels at {side}): {some(pairs, 3)}")
    for index, name in enumerate(classes):
        rows = np.flatnonzero(label == index)
        if len(rows) > 1 and any(len(group) >= len(rows) and set(rows.tolist()) <= set(group) for group in equal):
            notes.append(f"all {len(rows)} images of class {name} are equal")
    return notes


def narrow_ranges(extremes: Sequence[tuple[int, int]]) -> list[str]:
    """A sentence on 16-bit images whose values use a small part of their range: 12 bits keep 16 of 256 levels.

    Args:
        extremes: least and largest value of each 16-bit image.
    """
    if not extremes:
        return []
    low, high = min(least for least, _ in extremes), max(most for _, most in extremes)
    # The scale is one for all: an image by its own range would lose how bright it is.
    levels = high // 257 - low // 257 + 1
    if levels >= FEW_LEVELS:
        return []
    count = f"{len(extremes)} image{'s' * (len(extremes) > 1)} of 16 bits"
    return [
        f"{count} hold values from {low:,} to {high:,} only, of 65,535: {levels} of 256 grey levels are left of them; "
        "write them again with their values spread over the whole range"
        + (f", times {65535 // high}" if 0 < high < 65535 // 2 else "")
    ]


def _pair(rows: list[int], kinds: Sequence[object], names: list[str]) -> str:
    other = next(row for row in rows if kinds[row] != kinds[rows[0]])
    return f"{names[rows[0]]} = {names[other]}"
