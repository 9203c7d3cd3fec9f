"""The user's own hardware as files: ``<home>/hardware/<space>/<name>.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gennas.errors import DataMissingError, GennasError, InvalidInputError, unknown
from gennas.files import write_json
from gennas.hardware.measurements import Measurement, check
from gennas.hardware.profile import FORMAT, Hardware
from gennas.paths import gennas_home

_PART = ".part"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """The name, if it can be that of a file and of a place in ``latency_ms@name``.

    Raises:
        InvalidInputError: it cannot.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", _PART)):
        raise InvalidInputError(
            f"{name!r} cannot be the name of a hardware; expected 1 to 64 letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit and not ending in '.' or '.part', e.g. my-phone."
        )
    return name


def path_of(space: str, name: str) -> Path:
    """Where the hardware of that name is stored."""
    return gennas_home() / "hardware" / space / f"{check_name(name)}.json"


def part_of(space: str, name: str) -> Path:
    """Where a measurement of it that is not finished is kept."""
    return path_of(space, name).with_name(f"{name}{_PART}.json")


def names(space: str) -> tuple[str, ...]:
    """The hardware that the user has added for a space, sorted."""
    folder = gennas_home() / "hardware" / space
    stems = [path.stem for path in folder.glob("*.json")] if folder.is_dir() else []
    return tuple(sorted(stem for stem in stems if _NAME.fullmatch(stem) and not stem.endswith(_PART)))


def spaces() -> tuple[str, ...]:
    """Names of the spaces for which there is any, sorted."""
    root = gennas_home() / "hardware"
    return tuple(sorted(path.name for path in root.iterdir() if names(path.name))) if root.is_dir() else ()


def load(space: str, name: str) -> Hardware:
    """The stored hardware of that name.

    Raises:
        UnknownNameError: there is none; lists those there are.
        DataMissingError: its file is damaged; the message says where.
    """
    path = path_of(space, name)
    if not path.is_file():
        raise unknown(f"hardware of your own for {space}", name, names(space), "Add it: gennas hardware add.")
    try:
        hardware = _read(json.loads(path.read_text(encoding="utf-8")))
        if (hardware.name, hardware.space) != (name, space):
            raise ValueError(f"it is of hardware {hardware.name!r} for {hardware.space!r}")
        check(hardware.measurements, "measurements")
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, GennasError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise DataMissingError(
            f"{path} is damaged: {reason}. Add it again with --replace, or delete it: "
            f"gennas hardware remove {name} --space {space}"
        ) from error
    return hardware


def _read(document: Any) -> Hardware:
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']!r}, this gennas reads {FORMAT}")
    shape, skeleton = document["input_shape"], document["skeleton"]
    if not isinstance(skeleton, str):
        raise ValueError(f"skeleton is {skeleton!r}, expected a text")
    return Hardware(
        name=document["name"],
        space=document["space"],
        measurements=tuple(Measurement.read(row) for row in document["measurements"]),
        how=dict(document["how"]),
        skeleton=skeleton,
        input_shape=None if shape is None else tuple(int(side) for side in shape),
    )


def stored(space: str, name: str) -> Hardware | None:
    """The stored hardware of that name; None where there is none.

    Raises:
        DataMissingError: its file is damaged.
    """
    return load(space, name) if path_of(space, name).is_file() else None


def add(hardware: Hardware) -> Path:
    """Stores a hardware in place of what is there, atomically, and returns its file.

    Raises:
        InvalidInputError: its name or its measurements cannot be used, or the file cannot be written.
    """
    path = path_of(hardware.space, hardware.name)
    check(hardware.measurements, f"hardware {hardware.name!r}")
    write(path, hardware.document())
    return path


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a file of the store atomically.

    Raises:
        InvalidInputError: it cannot be written.
    """
    try:
        write_json(path, document)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be written: {error.strerror}. Set GENNAS_HOME to a folder of yours."
        ) from error


def remove(space: str, name: str) -> list[Path]:
    """Deletes a hardware and what was begun of it; returns the files.

    Raises:
        UnknownNameError: there is none of that name.
    """
    found = [path for path in (path_of(space, name), part_of(space, name)) if path.is_file()]
    if not found:
        raise unknown(f"hardware of your own for {space}", name, names(space))
    for path in found:
        path.unlink()
    return found
