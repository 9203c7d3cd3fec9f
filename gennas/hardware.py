"""Hardware: a device of the user's own, known by the latencies that a few archs were measured at.

``<home>/hardware/<space>/<name>.json`` holds the measurements and how they were made; what a predictor makes of
them is computed when it is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gennas.errors import DataMissingError, GennasError, InvalidInputError, StudyError, unknown
from gennas.files import write_json
from gennas.home import gennas_home
from gennas.measurements import Measurement, check
from gennas.spaces import Space

FORMAT = 1
_PART = ".part"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Hardware:
    """A device and what was measured on it.

    Attributes:
        name: what it is called, as in ``latency_ms@name``.
        space: name of the space whose archs were measured.
        measurements: one per distinct arch.
        how: ``{"csv": file}``, or the settings of :class:`gennas.evaluators.latency_spec.LatencySpec`, the machine
            and its software.
        skeleton: settings of the measured networks around what is searched, e.g. ``"channels=16,cells=5"``.
        input_shape: ``(c, h, w)`` of the images they saw; None where the user did not say.
    """

    name: str
    space: str
    measurements: tuple[Measurement, ...]
    how: Mapping[str, str | int]
    skeleton: str = ""
    input_shape: tuple[int, ...] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The measured archs."""
        return tuple(measured.key for measured in self.measurements)

    @property
    def latency_ms(self) -> np.ndarray:
        """``(N,)`` their latencies."""
        return np.array([measured.latency_ms for measured in self.measurements])

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "format": FORMAT,
            "name": self.name,
            "space": self.space,
            "how": dict(self.how),
            "skeleton": self.skeleton,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "measurements": [measured.document() for measured in self.measurements],
        }


def written_skeleton(space: Space) -> str:
    """The skeleton's settings as :func:`gennas.spaces.get_space` reads them."""
    return ",".join(f"{setting}={value}" for setting, value in space.skeleton.items())


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


def merged(before: Hardware | None, new: Hardware) -> Hardware:
    """What is known when a device that was there already is measured again: the measurements of both.

    Raises:
        StudyError: both were made in different ways, or an arch has two different latencies.
    """
    if before is None:
        return new
    are_files = "csv" in before.how and "csv" in new.how
    # Rows may come in several files, and what reads the clock may have become newer.
    free = {"software", *(["csv"] if are_files else [])}
    was, now = (
        {**hardware.how, "skeleton": hardware.skeleton, "input_shape": hardware.input_shape}
        for hardware in (before, new)
    )
    told = [
        f"{field} was {was.get(field)!r}, is {now.get(field)!r}"
        for field in dict.fromkeys((*was, *now))
        if field not in free and was.get(field) != now.get(field)
    ]
    known = {measured.key: measured for measured in before.measurements}
    for measured in new.measurements:
        latency = known.setdefault(measured.key, measured).latency_ms
        if latency != measured.latency_ms:
            told.append(f"arch {measured.key!r} took {latency:g} ms, takes {measured.latency_ms:g} ms")
    if told:
        raise StudyError(
            f"hardware {new.name!r} was measured otherwise before: {'; '.join(told[:5])}"
            f"{f'; and {len(told) - 5} more' if len(told) > 5 else ''}. "
            "Choose another name, or start it over: --replace."
        )
    how = dict(new.how)
    if are_files:
        how["csv"] = ", ".join(dict.fromkeys([*str(before.how["csv"]).split(", "), str(new.how["csv"])]))
    return replace(new, how=how, measurements=tuple(known.values()))


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
