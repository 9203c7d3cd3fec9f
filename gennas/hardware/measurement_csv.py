"""CSV files of latency measurements: one arch and its latency per row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from gennas.arch import Arch
from gennas.documents import read_text
from gennas.errors import InvalidInputError, short
from gennas.files import write_text
from gennas.hardware.csv_settings import CsvSettings, Runs
from gennas.hardware.measurements import MIN_MEASUREMENTS, Measurement, check_measurements, doubtful_unit
from gennas.hardware.profile import Hardware, merged, written_skeleton
from gennas.metrics import implausible
from gennas.spaces import Space
from gennas.tables.arch_csv import Column, read_numbers
from gennas.tasks import Task

Unit = Literal["s", "ms", "us"]
#: Milliseconds of each unit.
MILLISECONDS: dict[Unit, float] = {"s": 1e3, "ms": 1.0, "us": 1e-3}
LATENCY = Column(
    "latency_ms", "csv", "a number of milliseconds", "7.1", "write a template with: gennas hardware choose --out FILE"
)


def read_hardware(
    path: Path,
    name: str,
    space: Space,
    input_shape: tuple[int, ...] | None,
    stored: Hardware | None = None,
    *,
    task: Task | None = None,
    unit: Unit | None = None,
    settings: CsvSettings | None = None,
) -> Hardware:
    """The hardware described by a CSV file, merged with the measurements already stored under its name.

    Args:
        path: the CSV file.
        name: name of the hardware.
        space: the space, with the skeleton of the measured networks.
        input_shape: ``(c, h, w)`` of the measured networks' input; None if unknown.
        stored: the hardware already stored under this name, if any.
        task: sizes the measured networks; their multiply-adds tell whether the unit can be right.
        unit: of the latencies in the file. Without it they are read as milliseconds, unless that is hardly possible.
        settings: what the file says beside its measurements; read where it is not given.

    Raises:
        InvalidInputError: see :func:`read_csv`; or the latencies are hardly milliseconds, and no unit was given.
        StudyError: the stored measurements were made with other settings.
    """
    earlier = dict(zip(stored.keys, stored.latency_ms.tolist(), strict=True)) if stored else None
    factor, settings = MILLISECONDS[unit or "ms"], settings or CsvSettings.read(path)
    device = Hardware(name, space.name, (), {"csv": str(path), **settings.how}, written_skeleton(space), input_shape)
    # Other settings are why latencies differ.
    merged(stored, device)
    rows = tuple(_with_runs(row, settings.runs, factor) for row in read_csv(path, space, earlier, factor))
    # Networks on graphs move more than they multiply.
    if unit is None and task is not None and len(task.input_shape) == 3:
        macs_m = [space.costs(space.parse(row.key), task)["macs_m"] for row in rows]
        if doubt := doubtful_unit(rows, macs_m):
            raise InvalidInputError(f"{path}: {doubt}")
    return merged(stored, replace(device, measurements=rows))


def _with_runs(row: Measurement, runs: Mapping[str, Runs], factor: float) -> Measurement:
    """A measurement with what its file says of the runs, in ms; nothing of a key that was written in another way."""
    found = runs.get(row.key, Runs())
    quartiles = None if found.quartiles is None else (factor * found.quartiles[0], factor * found.quartiles[1])
    p90 = None if found.p90 is None else factor * found.p90
    return Measurement(row.key, row.latency_ms, quartiles, p90, found.runs, found.disturbance)


def read_csv(
    path: Path, space: Space, earlier: Mapping[str, float] | None = None, factor: float = 1.0
) -> tuple[Measurement, ...]:
    """Reads the columns ``key`` and ``latency_ms`` of a file: one measurement per distinct arch.

    Args:
        path: the CSV file; its format is that of :func:`gennas.tables.arch_csv.read_numbers`.
        space: the space that the keys belong to.
        earlier: key -> latency in ms of archs measured before; rows must agree with these.
        factor: milliseconds that a number of the file stands for.

    Raises:
        InvalidInputError: the file or some of its rows are invalid, all latencies are equal, or there are fewer than
            three archs and no earlier ones.
    """

    def defect(arch: Arch, number: float) -> str:
        latency = factor * number
        if earlier is not None and earlier.get(arch.key, latency) != latency:
            return (
                f"{short(arch.key)} has latency_ms {latency:g}, but {earlier[arch.key]:g} is stored; use `replace` to "
                "discard the stored measurements"
            )
        return implausible("latency_ms", latency)

    numbers = read_numbers(path, space, LATENCY, defect)
    measurements = tuple(Measurement(arch.key, factor * number) for arch, number in numbers.items())
    if len(measurements) >= MIN_MEASUREMENTS or not earlier:
        check_measurements(measurements, str(path), space)
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
