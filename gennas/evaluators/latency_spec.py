"""Settings of latency measurements; in a module of their own, so that the command line can read them without torch."""

from __future__ import annotations

from dataclasses import dataclass

from gennas.errors import InvalidInputError
from gennas.hardware.measure import SECONDS


@dataclass(frozen=True)
class LatencySpec:
    """How latency is measured, beside what the name of the hardware tells.

    Args:
        batch: images per run; latencies of other batches are not compared.
        seconds: most seconds for the timed runs of a network; they end sooner once their median is precise.

    Raises:
        InvalidInputError: a value is out of range.
    """

    batch: int = 1
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        if not isinstance(self.batch, int) or isinstance(self.batch, bool) or self.batch < 1:
            raise InvalidInputError(f"is {self.batch!r}; must be an integer >= 1.", argument="latency.batch")
        if not 0 < self.seconds < float("inf"):
            raise InvalidInputError(f"is {self.seconds!r}; must be a number above 0.", argument="latency.seconds")

    @property
    def conditions(self) -> dict[str, int]:
        """The settings that values depend on."""
        return {"batch": self.batch}
