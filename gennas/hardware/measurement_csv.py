"""The user's CSV of measurements: one arch and its latency a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.files import write_text
from gennas.hardware.measurements import FEWEST, Measurement, check, defect_of
from gennas.hardware.profile import Hardware, merged, written_skeleton
from gennas.spaces import Space
from gennas.tables.arch_csv import Column, read_numbers, short

LATENCY = Column(
    "latency_ms", "--csv", "a number of milliseconds", "7.1", "write one: gennas hardware choose --out FILE"
)


def read_hardware(
    path: Path, name: str, space: Space, input_shape: tuple[int, ...] | None, before: Hardware | None = None
) -> Hardware:
    """A hardware from a file of measurements, together with those that are stored under its name.

    Args:
        path: of the file.
        name: of the hardware.
        space: with the skeleton of the measured networks.
        input_shape: of the images they saw; None where the user did not say.
        before: what is stored.

    Raises:
        InvalidInputError: see :func:`read_csv`.
        StudyError: what is stored was measured in another way.
    """
    known = dict(zip(before.keys, before.latency_ms.tolist(), strict=True)) if before else None
    rows = read_csv(path, space, known)
    return merged(before, Hardware(name, space.name, rows, {"csv": str(path)}, written_skeleton(space), input_shape))


def read_csv(path: Path, space: Space, known: Mapping[str, float] | None = None) -> tuple[Measurement, ...]:
    """The measurements of a file with the columns ``key`` and ``latency_ms``, one per distinct arch.

    Args:
        path: of the file; for its form see :func:`gennas.tables.arch_csv.read_numbers`.
        space: whose archs the keys are.
        known: latencies in ms of archs that were measured before, which a row must not contradict.

    Raises:
        InvalidInputError: the file or its rows cannot be read, or say nothing together: fewer than three archs,
            unless more are known, or one latency for all.
    """

    def defect(arch: Arch, latency: float) -> str:
        if known is not None and known.get(arch.key, latency) != latency:
            return (
                f"{short(arch.key)} has latency_ms {latency:g}, but {known[arch.key]:g} before; --replace starts the "
                "device over"
            )
        return defect_of(latency)

    found = read_numbers(path, space, LATENCY, defect)
    measurements = tuple(Measurement(arch.key, latency) for arch, latency in found.items())
    if len(measurements) >= FEWEST or not known:
        check(measurements, str(path))
    return measurements


def write_choices(path: Path, archs: Sequence[Arch]) -> None:
    """Writes a file for :func:`read_csv` in which only the latencies are missing.

    Raises:
        InvalidInputError: the path exists with other content, which may be measurements by now.
    """
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(LATENCY.header)
    rows.writerows([arch.key, ""] for arch in archs)
    text = written.getvalue()
    if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
        raise InvalidInputError(f"--out {path} exists and may hold measurements; choose another file.")
    write_text(path, text)
