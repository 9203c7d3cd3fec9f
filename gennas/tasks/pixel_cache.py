"""The cache of decoded images: one file per folder and size, replaced when the folder changes."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from gennas.files import replacing
from gennas.paths import gennas_home
from gennas.tasks.base import Split
from gennas.tasks.reading_report import ReadingReport


@dataclass(frozen=True)
class Decoded:
    """The images of a folder.

    Attributes:
        splits: split -> its images.
        checksums: split -> ``(n,)`` uint64 checksums of their pixels.
        report: what was read and what not.
    """

    splits: dict[str, Split]
    checksums: dict[str, np.ndarray]
    report: ReadingReport


def cached(name: str, fingerprint: str, decode: Callable[[], Decoded]) -> Decoded:
    """Images from the cache in ``GENNAS_HOME``, or decoded and put there.

    Args:
        name: of what is decoded, its size among it.
        fingerprint: of the files.
        decode: reads them.
    """
    path = gennas_home() / "cache" / "tasks" / f"{sha256(os.fsencode(name)).hexdigest()[:16]}.npz"
    if (found := load(path, fingerprint)) is not None:
        return found
    decoded = decode()
    # The cache is optional: a full disk or a read-only home must not fail the read.
    with suppress(OSError):
        save(path, fingerprint, decoded)
    return decoded


def save(path: Path, fingerprint: str, decoded: Decoded) -> None:
    """Writes a cache atomically.

    Args:
        path: of the file.
        fingerprint: of the folder's files.
        decoded: what they hold.
    """
    facts = json.dumps({"fingerprint": fingerprint, "report": decoded.report.to_json()})
    arrays: dict[str, Any] = {"facts": np.array(facts)}
    for name, split in decoded.splits.items():
        arrays |= {f"{name}_images": split.images, f"{name}_labels": split.labels}
        arrays[f"{name}_checksums"] = decoded.checksums[name]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load(path: Path, fingerprint: str) -> Decoded | None:
    """Reads a cache; None if there is none for this fingerprint, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            if facts["fingerprint"] != fingerprint:
                return None
            names = [name.removesuffix("_images") for name in arrays.files if name.endswith("_images")]
            splits = {name: Split(arrays[f"{name}_images"], arrays[f"{name}_labels"]) for name in names}
            checksums = {name: arrays[f"{name}_checksums"] for name in names}
            return Decoded(splits, checksums, ReadingReport.from_json(facts["report"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
