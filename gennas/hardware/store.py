"""The user's own hardware as files: ``<home>/hardware/<space>/<name>.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import EllipsisType
from typing import Any

from gennas.commands import command
from gennas.documents import read_json
from gennas.errors import DataMissingError, GennasError, InvalidInputError, StudyError, reason_of, unknown
from gennas.files import locked, write_json
from gennas.hardware import registered_hardware
from gennas.hardware.measurements import Measurement, check_measurements
from gennas.hardware.profile import FORMAT, Hardware
from gennas.paths import gennas_home
from gennas.spaces import space_option

_PART = ".part"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """Returns the name if it is valid, both as a file name and as a target in ``latency_ms@name``.

    Raises:
        InvalidInputError: the name is not valid.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", _PART)):
        raise InvalidInputError(
            f"{name!r} is not a valid hardware name; expected 1 to 64 letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit and not ending in '.' or '.part', e.g. my-phone."
        )
    return name


def path_of(space: str, name: str) -> Path:
    """The file in which hardware of that name is stored."""
    return gennas_home() / "hardware" / space / f"{check_name(name)}.json"


def part_of(space: str, name: str) -> Path:
    """The file that holds an unfinished series of measurements."""
    return path_of(space, name).with_name(f"{name}{_PART}.json")


def content(space: str, name: str) -> bytes | None:
    """What the file of hardware holds, be it damaged; None where there is none."""
    path = path_of(space, name)
    return path.read_bytes() if path.is_file() else None


def names(space: str) -> tuple[str, ...]:
    """Names of the stored hardware for a space, and of what installed packages add, sorted."""
    return tuple(sorted({*_stored_names(space), *registered_hardware(space)}))


def _stored_names(space: str) -> list[str]:
    folder = gennas_home() / "hardware" / space
    stems = [path.stem for path in folder.glob("*.json")] if folder.is_dir() else []
    return [stem for stem in stems if _NAME.fullmatch(stem) and not stem.endswith(_PART)]


def spaces() -> tuple[str, ...]:
    """Names of the spaces with stored hardware, sorted."""
    root = gennas_home() / "hardware"
    return tuple(sorted(path.name for path in root.iterdir() if _stored_names(path.name))) if root.is_dir() else ()


def load(space: str, name: str) -> Hardware:
    """Loads the stored hardware of that name, or the registered one where none is stored.

    Raises:
        UnknownNameError: no such hardware; the message lists the stored names.
        DataMissingError: the file is damaged; the message names it.
        InvalidInputError: registered hardware with measurements that are not valid.
    """
    path = path_of(space, name)
    if not path.is_file():
        if name in (registered := registered_hardware(space)):
            check_measurements(registered[name].measurements, f"registered hardware {name!r}", space)
            return registered[name]
        add = command("hardware", "add", name, csv="FILE", space=space_option(space))
        raise unknown(f"stored hardware for {space}", name, names(space), f"Add it with: {add}")
    try:
        hardware = _read(read_json(path))
        if (hardware.name, hardware.space) != (name, space):
            raise ValueError(f"it describes hardware {hardware.name!r} for {hardware.space!r}")
        check_measurements(hardware.measurements, "measurements", space)
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, GennasError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else reason_of(error).rstrip(".")
        raise DataMissingError(
            f"{path} is damaged: {reason}. Add it again with `replace`, or delete it with: "
            + command("hardware", "remove", name, space=space_option(space))
        ) from error
    return hardware


def _read(document: Any) -> Hardware:
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']!r}; this version of gennas reads format {FORMAT}")
    shape, skeleton = document["input_shape"], document["skeleton"]
    if not isinstance(skeleton, str):
        raise ValueError(f"skeleton is {skeleton!r}; expected a string")
    return Hardware(
        name=document["name"],
        space=document["space"],
        measurements=tuple(Measurement.read(row) for row in document["measurements"]),
        how=_present(dict(document["how"])),
        skeleton=skeleton,
        input_shape=None if shape is None else tuple(int(side) for side in shape),
    )


def _present(how: Mapping[str, str | int]) -> dict[str, str | int]:
    """How something was measured, as it is said now; once, runs were counted, and a GPU was a runtime."""
    named = {"precision" if name == "dtype" else name: value for name, value in how.items()}
    named = {name: value for name, value in named.items() if name not in ("warmup", "repeats")}
    return {**named, "runtime": "torch", "threads": 1} if named.get("runtime") == "cuda" else named


def calibration(space: str, name: str) -> Hardware | None:
    """What :func:`keep_calibration` kept; None where there is nothing that can be read: it is only measured again."""
    try:
        hardware = _read(read_json(_calibration_path(space, name)))
        check_measurements(hardware.measurements, "measurements")
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, GennasError):
        return None
    return hardware


def keep_calibration(hardware: Hardware, name: str) -> None:
    """Keeps measurements of this machine, which is no hardware that the user named.

    Args:
        hardware: the measurements.
        name: of what they depend on: the machine, the networks, the settings.

    Raises:
        InvalidInputError: the measurements are not valid, or the file cannot be written.
    """
    check_measurements(hardware.measurements, "this machine")
    write(_calibration_path(hardware.space, name), hardware.document())


def _calibration_path(space: str, name: str) -> Path:
    return gennas_home() / "hardware" / space / "this_machine" / f"{name}.json"


def stored(space: str, name: str) -> Hardware | None:
    """The stored hardware of that name; None if there is none.

    Raises:
        DataMissingError: the file is damaged.
    """
    return load(space, name) if path_of(space, name).is_file() else None


def add(hardware: Hardware, over: bytes | EllipsisType | None = ...) -> Path:
    """Stores hardware atomically, replacing any of the same name, and returns its file.

    Args:
        hardware: with all its measurements, the earlier ones among them.
        over: what :func:`content` was when these were read; by default whatever is there is replaced.

    Raises:
        InvalidInputError: the name or the measurements are not valid, or the file cannot be written.
        StudyError: another process has stored measurements since.
    """
    path = path_of(hardware.space, hardware.name)
    check_measurements(hardware.measurements, f"hardware {hardware.name!r}", hardware.space)
    with _writing(path), locked(path.with_name(f".{path.name}.lock"), f"hardware {hardware.name!r}", "name"):
        if over is not ... and content(hardware.space, hardware.name) != over:
            raise StudyError(
                f"another process has changed hardware {hardware.name!r} in the meantime; nothing was stored. Run the "
                "command again to add to what is there now."
            )
        write_json(path, hardware.document())
    return path


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a file of the store atomically.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    with _writing(path):
        write_json(path, document)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InvalidInputError(
            f"cannot write {path}: {reason_of(error)}. Set GENNAS_HOME to a folder you can write to."
        ) from error


def remove(space: str, name: str) -> list[Path]:
    """Deletes stored hardware and any unfinished measurements of it; returns the deleted files.

    Raises:
        UnknownNameError: no such hardware.
    """
    found = [path for path in (path_of(space, name), part_of(space, name)) if path.is_file()]
    if not found:
        raise unknown(f"stored hardware for {space}", name, names(space))
    for path in found:
        path.unlink()
    return found
