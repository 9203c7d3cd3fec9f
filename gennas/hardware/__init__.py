"""Hardware: devices that users add, and the latencies measured on them."""

from __future__ import annotations

import logging

from gennas.errors import GennasError
from gennas.hardware.profile import Hardware
from gennas.registry import Registry

_LOG = logging.getLogger(__name__)

#: Devices of installed packages, and of the running program; the user's own are files of :mod:`gennas.hardware.store`.
HARDWARE: Registry[Hardware] = Registry(
    "hardware",
    {},
    group="gennas.hardware",
    expected="a gennas.hardware.profile.Hardware",
    accepts=lambda entry: isinstance(entry, Hardware),
    how="gennas hardware add (in Python: HARDWARE.register)",
)


def registered_hardware(space: str) -> dict[str, Hardware]:
    """The registered devices that were measured on a space, by name; one that cannot be imported is logged."""
    found: dict[str, Hardware] = {}
    for name in HARDWARE:
        try:
            hardware = HARDWARE.registered(name)
        except GennasError as error:
            _LOG.warning("%s", error)
            continue
        if hardware.space == space:
            found[hardware.name] = hardware
    return found


__all__ = ["HARDWARE", "Hardware", "registered_hardware"]
