"""CSV files of latency measurements: one arch and its latency per row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gennas.arch import Arch
from gennas.documents import read_text
from gennas.errors import InvalidInputError, short
from gennas.files import write_text
from gennas.hardware.measurements import MIN_MEASUREMENTS, Measurement, check_measurements
from gennas.hardware.profile import Hardware, merged, written_skeleton
from gennas.metrics import implausible
from gennas.spaces import Space
from gennas.tables.arch_csv import Column, read_numbers

LATENCY = Column(
    "latency_ms", "csv", "a number of milliseconds", "7.1", "write a template with: gennas hardware choose --out FILE"
)


def read_hardware(
    path: Path, name: str, space: Space, input_shape: tuple[int, ...] | None, stored: Hardware | None = None
) -> Hardware:
    """The hardware described by a CSV file, merged with the measurements already stored under its name.

    Args:
        path: the CSV file.
        name: name of the hardware.
        space: the space, with the skeleton of the measured networks.
        input_shape: ``(c, h, w)`` of the measured networks' input; None if unknown.
        stored: the hardware already stored under this name, if any.

    Raises:
        InvalidInputError: see :func:`read_csv`.
        StudyError: the stored measurements were made with other settings.
    """
    earlier = dict(zip(stored.keys, stored.latency_ms.tolist(), strict=True)) if stored else None
    rows = read_csv(path, space, earlier)
    return merged(stored, Hardware(name, space.name, rows, {"csv": str(path)}, written_skeleton(space), input_shape))


def read_csv(path: Path, space: Space, earlier: Mapping[str, float] | None = None) -> tuple[Measurement, ...]:
    """Reads the columns ``key`` and ``latency_ms`` of a file: one measurement per distinct arch.

    Args:
        path: the CSV file; its format is that of :func:`gennas.tables.arch_csv.read_numbers`.
        space: the space that the keys belong to.
        earlier: key -> latency in ms of archs measured before; rows must agree with these.

    Raises:
        InvalidInputError: the file or some of its rows are invalid, all latencies are equal, or there are fewer than
            three archs and no earlier ones.
    """

    def defect(arch: Arch, latency: float) -> str:
        if earlier is not None and earlier.get(arch.key, latency) != latency:
            return (
                f"{short(arch.key)} has latency_ms {latency:g}, but {earlier[arch.key]:g} is stored; use `replace` to "
                "discard the stored measurements"
            )
        return implausible("latency_ms", latency)

    latencies = read_numbers(path, space, LATENCY, defect)
    measurements = tuple(Measurement(arch.key, latency) for arch, latency in latencies.items())
    if len(measurements) >= MIN_MEASUREMENTS or not earlier:
        check_measurements(measurements, str(path))
    return measurements


def write_choices(path: Path, archs: Sequence[Arch]) -> None:
    """Writes a template for :func:`read_csv`: the archs' keys, with the latencies left empty.

    Raises:
        InvalidInputError: see :func:`check_choices`.
        OSError: the file cannot be written.
    """
    check_choices(path)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(LATENCY.header)
    writer.writerows([arch.key, ""] for arch in archs)
    write_text(path, buffer.getvalue())


def check_choices(path: Path) -> None:
    """Finds out whether a template may be written to a path.

    Raises:
        InvalidInputError: it holds something else than such a template without measurements.
    """
    if path.exists() and not _is_template(path):
        raise InvalidInputError(
            f"{path} already exists and may hold measurements; choose another file.", argument="out"
        )


def _is_template(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        rows = list(csv.reader(io.StringIO(read_text(path))))
    except (OSError, ValueError, csv.Error):
        return False
    return not rows or (rows[0] == list(LATENCY.header) and all(len(row) == 2 and not row[1] for row in rows[1:]))
