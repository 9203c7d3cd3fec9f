"""Settings of latency measurements; in a module of their own, so that the command line can read them without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gennas.errors import InvalidInputError

Runtime = Literal["onnxruntime", "torch", "cuda"]
Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class LatencySpec:
    """Settings of latency measurements; measurements are comparable only if these agree.

    Args:
        threads: intra-op threads of onnxruntime or torch.
        batch: images per run.
        warmup: runs that are not timed.
        repeats: timed runs; the latency is their median.
        runtime: ``onnxruntime`` or ``torch`` on the processor, or torch on the first ``cuda`` device.
        dtype: type of weights and images; onnxruntime supports only float32.

    Raises:
        InvalidInputError: a value is out of range, or the runtime does not support the dtype.
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
        # Quartiles of fewer than three runs are meaningless.
        for name, least in {"threads": 1, "batch": 1, "warmup": 0, "repeats": 3}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                _reject(name, value, f"an integer >= {least}")
        if self.runtime == "onnxruntime" and self.dtype != "float32":
            _reject("dtype", self.dtype, "float32 with runtime onnxruntime; use runtime torch or cuda for other dtypes")


def _reject(name: str, value: object, expected: str) -> None:
    raise InvalidInputError(f"is {value!r}; must be {expected}.", argument=f"latency.{name}")
