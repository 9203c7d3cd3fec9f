"""What a CSV file of measurements says beside them: of which networks they are, and how they were made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gennas.errors import InvalidInputError
from gennas.hardware.measure import NETWORKS, NUMBERS, SETTINGS
from gennas.metrics import implausible
from gennas.tables.arch_csv import NUMBER, CsvFile, invalid_rows


@dataclass(frozen=True)
class Runs:
    """What a row says of the runs of its network.

    Attributes:
        quartiles: in the file's unit; None where it has none.
        p90: 90th percentile, likewise.
        runs: how many there were; None where it does not say.
        disturbance: what else the machine did.
    """

    quartiles: tuple[float, float] | None = None
    p90: float | None = None
    runs: int | None = None
    disturbance: str = ""


@dataclass(frozen=True)
class CsvSettings:
    """What a file says of all its measurements; a file of keys and latencies alone says nothing.

    Attributes:
        space: name of the networks' space; empty where the file does not say.
        skeleton: settings of the networks around the searched part, likewise.
        input_shape: ``(c, h, w)`` of the networks' input; None likewise.
        how: runtime, threads, precision and machine, as far as they are there.
        runs: key of an arch -> what its row says.
    """

    space: str = ""
    skeleton: str = ""
    input_shape: tuple[int, ...] | None = None
    how: dict[str, str | int] = field(default_factory=dict)
    runs: dict[str, Runs] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> CsvSettings:
        """Reads the columns that ``gennas hardware bundle`` writes and ``measure.py`` fills.

        Raises:
            InvalidInputError: it cannot be read; rows were made in different ways; or a number is none.
        """
        found: dict[str, tuple[int, str]] = {}
        runs: dict[str, Runs] = {}
        problems: list[str] = []
        for line, row in _rows(path):
            # A row that is not filled yet says nothing of how the others were.
            for name in (*(SETTINGS if row.get("latency_ms") else ()), *NETWORKS):
                first, value = found.setdefault(name, (line, row.get(name, "")))
                if (here := row.get(name, "")) != value:
                    problems.append(
                        f"line {line}: {name} is {here!r}, but {value!r} in line {first}; give each a file and a name"
                    )
            try:
                runs[row["key"]] = _runs(row)
            except ValueError as error:
                problems.append(f"line {line}: {error}")
        if problems:
            raise invalid_rows(path, problems, "csv")
        said = {name: value for name, (_, value) in found.items() if value}
        how: dict[str, str | int] = {name: said[name] for name in SETTINGS if name in said}
        if (threads := str(how.get("threads", ""))).isascii() and threads.isdigit():
            how["threads"] = int(how["threads"])
        return cls(said.get("space", ""), said.get("skeleton", ""), _shape(path, said.get("input_shape")), how, runs)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and fields of every row, by the names of their columns in lower case."""
    expected = "expected UTF-8 text whose first line is key,latency_ms"
    file = CsvFile.open(path, "csv", expected, lambda names: {"key", "latency_ms"} <= {*names}, ("key", "latency_ms"))
    names = [name.casefold() for name in file.names]
    for line, fields, _ in file.rows():
        row = dict(zip(names, fields, strict=True))
        yield line, {**row, **{name: file.number(row[name]) for name in NUMBERS if name in row}}


def _runs(row: dict[str, str]) -> Runs:
    lower, upper, p90, runs = (_number(name, row.get(name, "")) for name in NUMBERS[1:])
    quartiles = None if lower is None or upper is None else (lower, upper)
    if quartiles is not None and quartiles[0] > quartiles[1]:
        raise ValueError(f"lower_quartile_ms {quartiles[0]:g} is above upper_quartile_ms {quartiles[1]:g}")
    return Runs(quartiles, p90, None if runs is None else int(runs), row.get("busy", ""))


def _number(name: str, text: str) -> float | None:
    if not text:
        return None
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{name} is {text!r}; expected a number, or nothing")
    number = float(text)
    if name != "runs":
        defect = implausible("latency_ms", number).replace("latency_ms", name)
    elif math.isfinite(number):
        defect = "" if number >= 1 else "runs is below 1"
    else:
        defect = f"runs is {number:g}; expected a count"
    if defect:
        raise ValueError(defect)
    return number


def _shape(path: Path, text: str | None) -> tuple[int, ...] | None:
    if not text:
        return None
    sides = text.split("x")
    if len(sides) != 3 or not all(side.isascii() and side.isdigit() and int(side) for side in sides):
        raise InvalidInputError(f"{path}: input_shape is {text!r}; expected e.g. 3x32x32.", argument="csv")
    return tuple(map(int, sides))
