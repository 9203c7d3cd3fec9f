"""Which precision to deploy: the latency of both, measured in turns, beside their accuracies."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from gennas.export.mixed_precision import Quantised
from gennas.export.running import OnnxModel

#: Runs of each model before those that count, and those that count.
_WARMUP, _REPEATS = 10, 100


@dataclass(frozen=True)
class Comparison:
    """A network in float32 and in INT8.

    Attributes:
        quantised: the accuracies of both.
        float_ms: median latency of one image in float32.
        int8_ms: that in INT8; None where no INT8 model keeps the accuracy.
        ratio: lower quartile, median and upper quartile of INT8's latency divided by that of the float run beside it.
    """

    quantised: Quantised
    float_ms: float
    int8_ms: float | None
    ratio: tuple[float, float, float] | None

    @property
    def recommended(self) -> Literal["float32", "int8"]:
        """The faster one that keeps the accuracy: INT8 only where three of four pairs of runs say so."""
        return "int8" if self.ratio is not None and self.ratio[2] < 1 else "float32"

    @property
    def reason(self) -> str:
        """Why, in words."""
        if self.ratio is None:
            return f"INT8 does not keep the {self.quantised.score_words}"
        lower, median, upper = self.ratio
        share = f"{median:.2f} times as long as float32, run by run ({lower:.2f} to {upper:.2f} in half of them)"
        return f"INT8 keeps the {self.quantised.score_words} {'and' if median < 1 else 'but'} takes {share}"

    def facts(self) -> dict[str, Any]:
        """Accuracies and latencies by name; those in INT8 are None where no INT8 model keeps the accuracy."""
        found = self.quantised
        return {
            f"{found.score}_float32": found.float_accuracy,
            f"{found.score}_int8": found.accuracy if found.is_int8 else None,
            "layers_in_float32": list(found.excluded),
            "latency_ms_float32": self.float_ms,
            "latency_ms_int8": self.int8_ms,
            "recommended": self.recommended,
        }


def compare(document: bytes, quantised: Quantised, *, threads: int = 1, repeats: int = _REPEATS) -> Comparison:
    """Times a float model and what quantising it gave, in turns, so that a busy machine slows both down.

    Args:
        document: the float ONNX model, for images ``(1, c, h, w)`` or any number of them.
        quantised: of the same network.
        threads: for one operation.
        repeats: runs of each model that count.
    """
    models = [OnnxModel(document, threads)]
    models += [OnnxModel(quantised.document, threads)] if quantised.is_int8 else []
    shape = models[0].inputs[0].shape[1:] if models[0].inputs else []
    image = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    runs = [model.run_on(image) for model in models]
    milliseconds = np.empty((repeats, len(runs)))
    # As in all measurements of latency, so that all-but-zero activations do not slow a model down.
    torch.set_flush_denormal(True)
    try:
        for row in range(-_WARMUP, repeats):
            for column, run in enumerate(runs):
                start = time.perf_counter()
                run()
                if row >= 0:
                    milliseconds[row, column] = 1e3 * (time.perf_counter() - start)
    finally:
        torch.set_flush_denormal(False)
    medians = np.median(milliseconds, axis=0)
    if len(runs) == 1:
        return Comparison(quantised, float(medians[0]), None, None)
    lower, median, upper = np.percentile(milliseconds[:, 1] / milliseconds[:, 0], [25, 50, 75])
    return Comparison(quantised, float(medians[0]), float(medians[1]), (float(lower), float(median), float(upper)))
