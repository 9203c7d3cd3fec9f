"""HardwareTarget: how networks run on this machine, and how that is called in the names of metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from gennas.errors import InvalidInputError

Device = Literal["cpu", "cuda"]
Runtime = Literal["onnxruntime", "torch", "compile"]
Precision = Literal["float32", "bfloat16", "float16", "int8"]

#: What runs on a device; the first is the one that its name does not tell.
RUNTIMES: dict[Device, tuple[Runtime, ...]] = {"cpu": ("onnxruntime", "torch", "compile"), "cuda": ("torch", "compile")}
#: What a runtime computes in; the first is the one that the name does not tell.
PRECISIONS: dict[Runtime, tuple[Precision, ...]] = {
    "onnxruntime": ("float32", "int8"),
    "torch": ("float32", "bfloat16", "float16"),
    "compile": ("float32", "bfloat16", "float16"),
}
#: The names in words, for messages.
NAMING = (
    "cpu or cuda, followed in this order by what differs from onnxruntime (cuda: torch), one thread and float32: "
    "-torch or -compile, -4threads (or another number), -bfloat16, -float16 or -int8"
)
_NAME = re.compile(
    r"(?P<device>cpu|cuda)(-(?P<runtime>torch|compile))?(-(?P<threads>[1-9][0-9]{0,3})threads)?"
    r"(-(?P<precision>bfloat16|float16|int8))?"
)


@dataclass(frozen=True)
class HardwareTarget:
    """A way to run networks on this machine; the latencies of different ones are different metrics.

    The name tells all of it: ``cpu`` is onnxruntime with one thread in float32, and the others append what differs,
    e.g. ``cpu-int8``, ``cpu-torch``, ``cpu-4threads-int8``, ``cuda``, ``cuda-float16``. Each target has one name.

    Args:
        device: the processor, or the first CUDA device.
        runtime: onnxruntime (for the processor), torch in eager mode, or ``torch.compile``.
        threads: of the processor, for one operation; 1 for ``cuda``, where they compute nothing.
        precision: type of weights and activations.

    Raises:
        InvalidInputError: a value is out of range, or the combination does not exist.
    """

    device: Device = "cpu"
    runtime: Runtime = "onnxruntime"
    threads: int = 1
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for field, value, known in (
            ("device", self.device, get_args(Device)),
            ("runtime", self.runtime, get_args(Runtime)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in known:
                raise InvalidInputError(f"is {value!r}; must be one of {', '.join(known)}.", argument=field)
        if self.runtime not in RUNTIMES[self.device]:
            raise InvalidInputError(
                f"is {self.runtime!r}, which does not run on {self.device}; must be {_either(RUNTIMES[self.device])}.",
                argument="runtime",
            )
        if self.precision not in PRECISIONS[self.runtime]:
            raise InvalidInputError(
                f"is {self.precision!r}; runtime {self.runtime} computes in {_either(PRECISIONS[self.runtime])}.",
                argument="precision",
            )
        most = 9999 if self.device == "cpu" else 1
        if not isinstance(self.threads, int) or isinstance(self.threads, bool) or not 1 <= self.threads <= most:
            expected = "an integer from 1 to 9999" if self.device == "cpu" else "1 on cuda"
            raise InvalidInputError(f"is {self.threads!r}; must be {expected}.", argument="threads")

    @property
    def name(self) -> str:
        """Its name in metrics, e.g. ``cpu-4threads-int8``."""
        parts: list[str] = [self.device]
        parts += [self.runtime] if self.runtime != RUNTIMES[self.device][0] else []
        parts += [f"{self.threads}threads"] if self.threads > 1 else []
        parts += [self.precision] if self.precision != PRECISIONS[self.runtime][0] else []
        return "-".join(parts)

    @property
    def settings(self) -> dict[str, str | int]:
        """What its name tells, by the names of the arguments; the device is told by the name of the machine."""
        return {"runtime": self.runtime, "threads": self.threads, "precision": self.precision}

    @classmethod
    def parse(cls, name: str) -> HardwareTarget | None:
        """The target of that name; None for every other name: that of another device, or of nothing."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        device: Device = match["device"]  # type: ignore[assignment]  # as are those below, by the pattern
        runtime: Runtime = match["runtime"] or RUNTIMES[device][0]  # type: ignore[assignment]
        precision: Precision = match["precision"] or PRECISIONS[runtime][0]  # type: ignore[assignment]
        try:
            target = cls(device, runtime, int(match["threads"] or 1), precision)
        except InvalidInputError:
            return None
        # "cpu-1threads" is "cpu": with two names, a latency would be measured twice.
        return target if target.name == name else None


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)
