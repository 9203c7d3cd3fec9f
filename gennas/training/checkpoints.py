"""The two checkpoints of a training, in turn: where the last one is damaged, the one before is resumed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gennas.files import replacing
from gennas.training.memory import is_out_of_memory

LAST, BEFORE = "last.ckpt", "before.ckpt"


@dataclass(frozen=True)
class Found:
    """The checkpoint from which a training resumes.

    Attributes:
        path: of its file; None where training begins.
        state: what :class:`gennas.training.module.NetworkTraining` keeps in it; empty where training begins.
        epochs: finished ones.
        note: what was wrong with the last checkpoint, in a sentence; empty where nothing was.
    """

    path: Path | None = None
    state: dict[str, Any] | None = None
    epochs: int = 0
    note: str = ""


def save(folder: Path, write: Callable[[Path], object]) -> None:
    """Writes a checkpoint; the last one becomes the one before.

    Args:
        folder: of the network.
        write: writes it to a path.
    """
    with replacing(folder / LAST) as temporary:
        write(temporary)
        # Complete by now: whenever the process is killed, one of the two is whole.
        with suppress(FileNotFoundError):
            os.replace(folder / LAST, folder / BEFORE)


def find(folder: Path, identity: str) -> Found:
    """The newest whole checkpoint of a training; damaged ones are removed.

    Args:
        folder: of the network.
        identity: of the training; checkpoints of others are passed over.
    """
    note = ""
    # What a kill left of a write; nobody else writes here.
    for unfinished in folder.glob(f".{LAST}.*"):
        unfinished.unlink(missing_ok=True)
    for name in (LAST, BEFORE):
        path = folder / name
        if not path.is_file():
            continue
        defect, readable = "", True
        try:
            defect = _defect(path)
            checkpoint = None if defect else torch.load(path, map_location="cpu", weights_only=True)
            if checkpoint is not None and checkpoint["gennas"]["identity"] == identity:
                return Found(path, checkpoint["gennas"], int(checkpoint["epoch"]) + 1, note)
        except Exception as error:
            # torch raises many kinds of errors for a damaged file.
            defect = f"{type(error).__name__}"
            readable = not isinstance(error, OSError | MemoryError) and not is_out_of_memory(error)
        if defect:
            note = f"{path} is damaged ({defect}); training goes on from the checkpoint before it, or starts over."
            if readable:
                # The next save would put it in the place of the whole one.
                path.unlink(missing_ok=True)
    return Found(note=note)


def remove(folder: Path) -> None:
    """Removes both checkpoints."""
    for name in (LAST, BEFORE):
        (folder / name).unlink(missing_ok=True)


def _defect(path: Path) -> str:
    """What is wrong with a checkpoint's bytes; torch itself loads tensors with changed bits in silence."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except zipfile.BadZipFile as error:
        return str(error)
    return f"the checksum of {broken} is wrong" if broken else ""
