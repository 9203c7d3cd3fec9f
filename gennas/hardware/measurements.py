"""Latency measurements of archs on one device, and their validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gennas.errors import InvalidInputError

#: Latencies in ms outside this range are assumed to be in another unit.
SHORTEST_MS, LONGEST_MS = 1e-6, 1e5
#: Distinct archs needed to fit a latency model of a device.
MIN_MEASUREMENTS = 3


@dataclass(frozen=True)
class Measurement:
    """The latency of one arch.

    Attributes:
        key: the arch's native notation.
        latency_ms: median over the runs, or the value in the user's file.
        quartiles_ms: lower and upper quartile over the runs; None if unknown.
    """

    key: str
    latency_ms: float
    quartiles_ms: tuple[float, float] | None = None

    def document(self) -> dict[str, Any]:
        """The measurement as a JSON object."""
        row: dict[str, Any] = {"key": self.key, "latency_ms": self.latency_ms}
        return row if self.quartiles_ms is None else {**row, "quartiles_ms": list(self.quartiles_ms)}

    @classmethod
    def read(cls, row: Any) -> Measurement:
        """Reads a measurement from its JSON object.

        Raises:
            ValueError, ArithmeticError, LookupError, TypeError, AttributeError: the object is not a valid measurement.
        """
        key, latency, quartiles = row["key"], row["latency_ms"], row.get("quartiles_ms")
        if not isinstance(key, str) or isinstance(latency, bool) or not isinstance(latency, int | float):
            raise ValueError(f"{row!r} is not a valid measurement")
        if defect := defect_of(latency):
            raise ValueError(f"arch {key!r}: {defect}")
        return cls(key, float(latency), (float(quartiles[0]), float(quartiles[1])) if quartiles else None)


def defect_of(latency_ms: float) -> str:
    """What is wrong with a latency in ms; empty if it is valid."""
    if not math.isfinite(latency_ms):
        return f"latency_ms is {latency_ms}; expected a finite number"
    if latency_ms <= 0:
        return f"latency_ms is {latency_ms:g}; expected a positive number of milliseconds"
    if latency_ms > LONGEST_MS:
        return f"latency_ms is {latency_ms:g}, above {LONGEST_MS:g}; expected milliseconds (is it in another unit?)"
    if latency_ms < SHORTEST_MS:
        return f"latency_ms is {latency_ms:g}, below 1 ns; expected milliseconds (is it in another unit?)"
    return ""


def check_measurements(measurements: Sequence[Measurement], source: str) -> None:
    """Checks that a latency model can be fitted to the measurements of a device.

    Args:
        measurements: all measurements of one device.
        source: where they come from; the subject of the error message.

    Raises:
        InvalidInputError: fewer than three archs, duplicate archs, or the same latency for all archs.
    """
    values = {measured.key: measured.latency_ms for measured in measurements}
    if len(values) < len(measurements):
        raise InvalidInputError(
            f"{source}: {len(measurements)} measurements of {len(values)} archs; expected one per arch."
        )
    if len(values) < MIN_MEASUREMENTS:
        raise InvalidInputError(
            f"{source}: {len(values)} distinct arch{'' if len(values) == 1 else 's'} measured; expected at least "
            f"{MIN_MEASUREMENTS}, ideally 10 or more. Choose archs to measure with: gennas hardware choose"
        )
    if len(set(values.values())) == 1:
        raise InvalidInputError(
            f"{source}: all {len(values)} archs have the same latency, {measurements[0].latency_ms:g} ms; expected "
            "different ones. Measure again with a higher-resolution clock."
        )
