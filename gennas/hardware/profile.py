"""Hardware: a device of the user's own, known by the latencies that a few archs were measured at.

``<home>/hardware/<space>/<name>.json`` holds the measurements and how they were made; what a predictor makes of
them is computed when it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gennas.errors import StudyError
from gennas.hardware.measurements import Measurement
from gennas.spaces import Space

FORMAT = 1


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
