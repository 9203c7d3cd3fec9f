"""Hardware: a device of the user's, described by the measured latencies of a few archs.

``<home>/hardware/<space>/<name>.json`` holds the measurements and how they were made. Latency models are fitted to them
when needed, and not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gennas.errors import StudyError
from gennas.hardware.measurements import Measurement
from gennas.settings import differences
from gennas.spaces import Space
from gennas.spaces.skeleton import skeleton_text

FORMAT = 1


@dataclass(frozen=True)
class Hardware:
    """A device and the latencies measured on it.

    Attributes:
        name: name of the device, as in ``latency_ms@name``.
        space: name of the space whose archs were measured.
        measurements: one per distinct arch.
        how: provenance: runtime, threads and precision as in :class:`gennas.hardware.target.HardwareTarget`, batch,
            machine and software, as far as they are known; and ``csv``, the file, where they were read from one.
        skeleton: skeleton settings of the measured networks, e.g. ``"channels=16,cells=5"``.
        input_shape: ``(c, h, w)`` of the measured networks' input; None if unknown.
    """

    name: str
    space: str
    measurements: tuple[Measurement, ...]
    how: Mapping[str, str | int]
    skeleton: str = ""
    input_shape: tuple[int, ...] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the measured archs."""
        return tuple(measured.key for measured in self.measurements)

    @property
    def latency_ms(self) -> np.ndarray:
        """``(N,)`` latencies in ms, in the order of ``keys``."""
        return np.array([measured.latency_ms for measured in self.measurements])

    def document(self) -> dict[str, Any]:
        """The JSON document that is stored."""
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
    """The skeleton's settings in the form that :func:`gennas.spaces.get_space` parses."""
    return skeleton_text(space.skeleton)


def merged(stored: Hardware | None, new: Hardware) -> Hardware:
    """The new measurements of a device together with those already stored.

    Raises:
        StudyError: the settings differ, or an arch has two different latencies.
    """
    if stored is None:
        return new
    both_csv = "csv" in stored.how and "csv" in new.how
    # Rows may come from several files, and upgrading the software does not make a new device.
    may_differ = {"software", *(["csv"] if both_csv else [])}
    was, now = (
        {
            **{name: value for name, value in hardware.how.items() if name not in may_differ},
            "skeleton": hardware.skeleton,
            "input_shape": hardware.input_shape,
        }
        for hardware in (stored, new)
    )
    differing = differences(was, now)
    measurements = {measured.key: measured for measured in stored.measurements}
    for measured in new.measurements:
        latency = measurements.setdefault(measured.key, measured).latency_ms
        if latency != measured.latency_ms:
            differing.append(f"arch {measured.key!r} took {latency:g} ms, now takes {measured.latency_ms:g} ms")
    if differing:
        raise StudyError(
            f"hardware {new.name!r} was measured with other settings: {'; '.join(differing[:5])}"
            f"{f'; and {len(differing) - 5} more' if len(differing) > 5 else ''}. "
            "Choose another name, or use `replace` to discard the stored measurements."
        )
    how = dict(new.how)
    if both_csv:
        how["csv"] = ", ".join(dict.fromkeys([*str(stored.how["csv"]).split(", "), str(new.how["csv"])]))
    return replace(new, how=how, measurements=tuple(measurements.values()))
