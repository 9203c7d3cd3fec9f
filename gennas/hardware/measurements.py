"""Latency measurements of archs on one device, and their validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.hardware.measure import LatencyTiming
from gennas.metrics import implausible
from gennas.spaces import Space, space_option
from gennas.tables.units import FASTEST, SLOWEST, median_rate

#: Distinct archs needed to fit a latency model of a device.
MIN_MEASUREMENTS = 3


@dataclass(frozen=True)
class Measurement:
    """The latency of one arch.

    Attributes:
        key: the arch's native notation.
        latency_ms: median over the runs, or the value in the user's file.
        quartiles_ms: lower and upper quartile over the runs; None if unknown.
        p90_ms: 90th percentile over the runs; None if unknown.
        runs: how many there were; None if unknown.
        disturbance: what else the machine did meanwhile, in words; empty for nothing that is known.
    """

    key: str
    latency_ms: float
    quartiles_ms: tuple[float, float] | None = None
    p90_ms: float | None = None
    runs: int | None = None
    disturbance: str = ""

    @classmethod
    def of(cls, key: str, timing: LatencyTiming) -> Measurement:
        """What the runs of an arch's network tell."""
        quartiles = (timing.lower_quartile_ms, timing.upper_quartile_ms)
        return cls(key, timing.median_ms, quartiles, timing.p90_ms, timing.runs, timing.disturbance)

    def document(self) -> dict[str, Any]:
        """The measurement as a JSON object."""
        more = {
            "quartiles_ms": None if self.quartiles_ms is None else list(self.quartiles_ms),
            "p90_ms": self.p90_ms,
            "runs": self.runs,
            "disturbance": self.disturbance or None,
        }
        known = {name: value for name, value in more.items() if value is not None}
        return {"key": self.key, "latency_ms": self.latency_ms, **known}

    @classmethod
    def read(cls, row: Any) -> Measurement:
        """Reads a measurement from its JSON object.

        Raises:
            ValueError, ArithmeticError, LookupError, TypeError, AttributeError: the object is not a valid measurement.
        """
        key, latency, quartiles, p90 = row["key"], row["latency_ms"], row.get("quartiles_ms"), row.get("p90_ms")
        runs, disturbance = row.get("runs"), row.get("disturbance", "")
        if not (isinstance(key, str) and isinstance(disturbance, str) and isinstance(runs, int | None)):
            raise ValueError(f"{row!r} is not a valid measurement")
        quartiles = None if quartiles is None else (quartiles[0], quartiles[1])
        for value in (latency, *(quartiles or ()), *(() if p90 is None else (p90,))):
            if defect := implausible("latency_ms", value):
                raise ValueError(f"arch {key!r}: {defect}")
        return cls(key, float(latency), quartiles, p90, runs, disturbance)


def doubtful_unit(measurements: Sequence[Measurement], macs_m: Sequence[float]) -> str:
    """Why latencies are hardly milliseconds, with what to do about it; empty where they may be.

    Args:
        measurements: of one device.
        macs_m: ``(N,)`` millions of multiply-adds of the measured networks.
    """
    rate = median_rate([measured.latency_ms for measured in measurements], macs_m)
    if rate is None or SLOWEST <= rate <= FASTEST:
        return ""
    other, word = ("s", "seconds") if rate > FASTEST else ("us", "microseconds")
    return (
        f"read as milliseconds, these latencies mean {rate:,.4g} billion multiply-adds a second, which hardly any "
        f"device does. Are they {word}? Give `unit` {other}, or `unit` ms if they are milliseconds; nothing was stored."
    )


def check_measurements(measurements: Sequence[Measurement], source: str, space: Space | str | None = None) -> None:
    """Checks that a latency model can be fitted to the measurements of a device.

    Args:
        measurements: all measurements of one device.
        source: where they come from; the subject of the error message.
        space: of the archs, or its name, for the command that chooses more of them.

    Raises:
        InvalidInputError: fewer than three archs, duplicate archs, an implausible latency, or the same for all archs.
    """
    for measured in measurements:
        if defect := implausible("latency_ms", measured.latency_ms):
            raise InvalidInputError(f"{source}, arch {measured.key!r}: {defect}.")
    values = {measured.key: measured.latency_ms for measured in measurements}
    if len(values) < len(measurements):
        raise InvalidInputError(
            f"{source}: {len(measurements)} measurements of {len(values)} archs; expected one per arch."
        )
    if len(values) < MIN_MEASUREMENTS:
        raise InvalidInputError(
            f"{source}: {len(values)} distinct arch{'' if len(values) == 1 else 's'} measured; expected at least "
            f"{MIN_MEASUREMENTS}, ideally 10 or more. Choose archs to measure with: "
            + command("hardware", "choose", space=None if space is None else space_option(space))
        )
    if len(set(values.values())) == 1:
        raise InvalidInputError(
            f"{source}: all {len(values)} archs have the same latency, {measurements[0].latency_ms:g} ms; expected "
            "different ones. Measure again with a higher-resolution clock."
        )
