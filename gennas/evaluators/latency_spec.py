"""How latency is measured; apart from the measuring itself, so that the command line reads it without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gennas.errors import InvalidInputError

Runtime = Literal["onnxruntime", "torch", "cuda"]
Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class LatencySpec:
    """How latency is measured; part of what identifies a measurement.

    Args:
        threads: onnxruntime's or torch's intra-op threads.
        batch: images per run.
        warmup: runs that are not counted.
        repeats: counted runs; the latency is their median.
        runtime: ``onnxruntime`` or ``torch`` on this machine's processor, or torch on its first ``cuda`` device.
        dtype: of weights and images; onnxruntime runs float32 only.

    Raises:
        InvalidInputError: a value out of its range, or a dtype that the runtime does not have.
    """

    threads: int = 1
    batch: int = 1
    warmup: int = 10
    repeats: int = 50
    runtime: Runtime = "onnxruntime"
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        for name, choices in (("runtime", get_args(Runtime)), ("dtype", get_args(Dtype))):
            if getattr(self, name) not in choices:
                _reject(name, getattr(self, name), f"one of {', '.join(choices)}")
        # Fewer counted runs than three have no quartiles worth the name.
        for name, least in {"threads": 1, "batch": 1, "warmup": 0, "repeats": 3}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                _reject(name, value, f"an integer, at least {least}")
        if self.runtime == "onnxruntime" and self.dtype != "float32":
            _reject("dtype", self.dtype, "float32 with runtime onnxruntime; runtime torch or cuda has the others")


def _reject(name: str, value: object, expected: str) -> None:
    raise InvalidInputError(f"latency: {name} is {value!r}; expected {expected}.")
