"""Checkpoints by name: those shipped with gennas, and the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gennas.errors import DataMissingError, UnknownNameError, unknown
from gennas.part_files import expect_space, parts_of
from gennas.paths import gennas_home, shipped
from gennas.spaces import Space

if TYPE_CHECKING:
    from gennas.diffusion.generator import Generator


def checkpoints() -> dict[str, Path]:
    """The checkpoints that have a name: those shipped with gennas, and the user's own under ``GENNAS_HOME``."""
    found: dict[str, Path] = {}
    for root in (gennas_home() / "checkpoints", shipped("checkpoints")):
        if root.is_dir():
            found |= {path.name: path for path in sorted(root.iterdir()) if parts_of(path)}
    return found


def find_checkpoint(name: str) -> Path:
    """The folder of a checkpoint given by name or by path.

    Raises:
        UnknownNameError: neither a named checkpoint nor a folder; lists what there is.
        DataMissingError: a folder without any trained part.
    """
    named = checkpoints()
    if name in named:
        return named[name]
    folder = Path(name)
    if not folder.is_dir():
        raise unknown("checkpoint", name, named, "A folder that 'gennas pretrain' wrote works too.")
    if not parts_of(folder):
        raise DataMissingError(
            f"folder {name!r} is no checkpoint: it has no generator/config.json and no predictor/config.json. "
            f"Make one: gennas pretrain generator --out {name}"
        )
    return folder


def folder_with_predictor(space: Space, checkpoint: Path | None) -> Path | None:
    """The folder of a predictor, that of the space's name where none is given; None where it has none."""
    try:
        folder = checkpoint or find_checkpoint(space.name)
    except (UnknownNameError, DataMissingError):
        return None
    return folder if "predictor" in parts_of(folder) else None


def generator_for(space: Space, checkpoint: str | None = None) -> Generator:
    """A generator of a space's archs, for the skeleton that ``space`` has, whichever it was trained beside.

    Args:
        space: whose archs.
        checkpoint: name or folder; the one named as the space by default.

    Raises:
        UnknownNameError: there is no such checkpoint.
        InvalidInputError: it is of another space.
        DataMissingError: it has no generator, or a file of it is damaged.
    """
    # torch takes a second to import, and names are listed without it.
    from gennas.diffusion.generator import Generator, load_generator

    folder = find_checkpoint(checkpoint or space.name)
    expect_space(folder, space)
    return Generator(space, load_generator(folder).denoiser)
