"""Measurements: latencies of archs on one device, and what can be wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gennas.errors import InvalidInputError

#: Latencies beyond these bounds, in ms, were written in another unit.
SHORTEST_MS, LONGEST_MS = 1e-6, 1e5
#: Distinct archs without which nothing can be said about a device.
FEWEST = 3


@dataclass(frozen=True)
class Measurement:
    """The latency of one arch.

    Attributes:
        key: the arch's native notation.
        latency_ms: median of the runs, or what the user's file says.
        quartiles_ms: lower and upper quartile of the runs, where they are known.
    """

    key: str
    latency_ms: float
    quartiles_ms: tuple[float, float] | None = None

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        row: dict[str, Any] = {"key": self.key, "latency_ms": self.latency_ms}
        return row if self.quartiles_ms is None else {**row, "quartiles_ms": list(self.quartiles_ms)}

    @classmethod
    def read(cls, row: Any) -> Measurement:
        """From its JSON object.

        Raises:
            ValueError, ArithmeticError, LookupError, TypeError, AttributeError: it is none.
        """
        key, latency, quartiles = row["key"], row["latency_ms"], row.get("quartiles_ms")
        if not isinstance(key, str) or isinstance(latency, bool) or not isinstance(latency, int | float):
            raise ValueError(f"{row!r} is no measurement")
        if defect := defect_of(latency):
            raise ValueError(f"arch {key!r}: {defect}")
        return cls(key, float(latency), (float(quartiles[0]), float(quartiles[1])) if quartiles else None)


def defect_of(latency_ms: float) -> str:
    """Why a number is no latency in ms; empty if it is one."""
    if not math.isfinite(latency_ms):
        return f"latency_ms is {latency_ms}; expected a finite number"
    if latency_ms <= 0:
        return f"latency_ms is {latency_ms:g}; expected a positive number of milliseconds"
    if latency_ms > LONGEST_MS:
        return f"latency_ms is {latency_ms:g}, longer than {LONGEST_MS:g}: another unit? Expected milliseconds"
    if latency_ms < SHORTEST_MS:
        return f"latency_ms is {latency_ms:g}, less than a nanosecond: another unit? Expected milliseconds"
    return ""


def check(measurements: Sequence[Measurement], where: str) -> None:
    """Makes sure that something can be learnt from all measurements of a device together.

    Args:
        measurements: of one device.
        where: they come from; the subject of the error.

    Raises:
        InvalidInputError: fewer than three archs, an arch twice, or the same latency for all.
    """
    values = {measured.key: measured.latency_ms for measured in measurements}
    if len(values) < len(measurements):
        raise InvalidInputError(f"{where}: {len(measurements)} measurements of {len(values)} archs; expected one each.")
    if len(values) < FEWEST:
        raise InvalidInputError(
            f"{where}: {len(values)} distinct arch{'' if len(values) == 1 else 's'} measured; expected at least "
            f"{FEWEST}, better 10 or more. Which: gennas hardware choose"
        )
    if len(set(values.values())) == 1:
        raise InvalidInputError(
            f"{where}: all {len(values)} archs have the latency {measurements[0].latency_ms:g} ms; expected one that "
            "depends on the arch. Measure again with a finer clock."
        )
