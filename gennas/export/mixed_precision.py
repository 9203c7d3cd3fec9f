"""Mixed precision: a network in 8 bits, but for the layers that cannot bear it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from gennas.errors import InvalidInputError
from gennas.export.int8 import METHODS, Calibration, Method, Quantiser
from gennas.export.running import OnnxModel

#: Calibration images on which layers are ranked.
_RANKING_IMAGES = 32


@dataclass(frozen=True)
class Attempt:
    """One way to quantise a network, and what came of it.

    Attributes:
        method: how ranges of activations were calibrated.
        per_channel: whether each output channel of a convolution had a scale of its own.
        excluded: names of the layers that stayed in float.
        accuracy: on the validation images, a fraction.
    """

    method: Method
    per_channel: bool
    excluded: tuple[str, ...]
    accuracy: float


@dataclass(frozen=True)
class Quantised:
    """What quantising a network gave.

    Attributes:
        document: ONNX model; the float one, unchanged, where nothing was within the allowed drop.
        chosen: how the model was made; None where it is the float one.
        float_accuracy: of the float model on the validation images, a fraction.
        attempts: all that was tried, in order.
        layers: how many layers can be quantised.
        score: what stands for the accuracy, by the kind of targets.
    """

    document: bytes
    chosen: Attempt | None
    float_accuracy: float
    attempts: tuple[Attempt, ...]
    layers: int
    score: str = "accuracy"

    @property
    def score_words(self) -> str:
        """The score in a sentence."""
        return self.score.replace("_", " ")

    @property
    def is_int8(self) -> bool:
        """Whether a quantised model was found that keeps the accuracy."""
        return self.chosen is not None

    @property
    def accuracy(self) -> float:
        """Of :attr:`document` on the validation images."""
        return self.float_accuracy if self.chosen is None else self.chosen.accuracy

    @property
    def best_attempt(self) -> float | None:
        """The best accuracy of all attempts in INT8, kept or not; None where no layer can be quantised."""
        return max((attempt.accuracy for attempt in self.attempts), default=None)

    @property
    def excluded(self) -> tuple[str, ...]:
        """Names of the layers that stay in float; empty for the float model."""
        return () if self.chosen is None else self.chosen.excluded

    @property
    def drop(self) -> float:
        """By how much the accuracy is lower than in float; negative where it is higher."""
        return self.float_accuracy - self.accuracy

    def __str__(self) -> str:
        if self.chosen is None:
            best = self.best_attempt
            tried = "no layer can be quantised" if best is None else f"the best of {len(self.attempts)} has {best:.4f}"
            return f"float32: INT8 does not keep the {self.score_words} of {self.float_accuracy:.4f} ({tried})"
        scales = "per channel" if self.chosen.per_channel else "per tensor"
        kept = f", {len(self.excluded)} of {self.layers} layers in float" if self.excluded else ""
        return f"INT8 {scales}, {self.chosen.method}{kept}: {self.accuracy:.4f} of {self.float_accuracy:.4f}"


def quantise(
    document: bytes,
    images: np.ndarray,
    accuracy: Callable[[bytes], float],
    *,
    max_drop: float = 0.01,
    exclude: Sequence[str] = (),
) -> Quantised:
    """Quantises a network so that its accuracy drops by no more than is allowed.

    Scales per channel and per tensor are tried with the full range of activations, and the better one is taken. Where
    neither is within ``max_drop``, percentiles and entropy choose the ranges. Where that does not help either, layers
    return to float, worst first: the fewest that bring the best attempt within ``max_drop``. A layer is the worse, the
    larger the change of the logits when it alone is quantised.

    Args:
        document: float ONNX model with one input ``(batch, c, h, w)``.
        images: ``(n, c, h, w)`` float32 training images to calibrate with, as the model takes them.
        accuracy: of a model, on *validation* images: layers are chosen by it. A fraction.
        max_drop: how much accuracy may be lost, a fraction.
        exclude: names of layers that stay in float in any case.

    Returns:
        The quantised model, or the float one where all that was tried loses more.

    Raises:
        InvalidInputError: ``max_drop`` is not in [0, 1), images that cannot be used, or a name that is none of a layer.
    """
    if not 0 <= max_drop < 1:
        raise InvalidInputError(f"is {max_drop}; must be in [0, 1).", argument="max_drop")
    trial = _Trial(document, images, accuracy, tuple(dict.fromkeys(exclude)))
    float_accuracy = accuracy(document)

    def keeps(attempt: Attempt) -> bool:
        return attempt.accuracy >= float_accuracy - max_drop

    chosen = trial.uniform(keeps) if trial.open_layers else None
    model = document if chosen is None else trial.model(chosen)
    return Quantised(model, chosen, float_accuracy, tuple(trial.attempts), len(trial.quantiser.layers))


class _Trial:
    """What was tried with one network; arguments as of :func:`quantise`.

    Attributes:
        attempts: in order.
        open_layers: names of the layers that may become 8-bit.
    """

    def __init__(
        self, document: bytes, images: np.ndarray, accuracy: Callable[[bytes], float], exclude: tuple[str, ...]
    ) -> None:
        self.document, self.images, self.accuracy, self.exclude = document, images, accuracy, exclude
        self.quantiser = Quantiser(document)
        self.open_layers = [name for name in self.quantiser.layers if name not in exclude]
        self.attempts: list[Attempt] = []
        self.calibration = cache(self._calibrated)

    def _calibrated(self, method: Method) -> Calibration | None:
        """None where the method cannot deal with the network's activations."""
        try:
            return self.quantiser.calibrated(self.images, method)
        except InvalidInputError:
            if method == "min-max":
                raise
            return None

    def model(self, attempt: Attempt) -> bytes:
        calibration = self.calibration(attempt.method)
        assert calibration is not None
        return self.quantiser.quantised(calibration, per_channel=attempt.per_channel, exclude=attempt.excluded)

    def attempt(self, method: Method, per_channel: bool, excluded: tuple[str, ...]) -> Attempt:
        """Quantises once, and measures."""
        planned = Attempt(method, per_channel, excluded, float("nan"))
        done = replace(planned, accuracy=self.accuracy(self.model(planned)))
        self.attempts.append(done)
        return done

    def uniform(self, keeps: Callable[[Attempt], bool]) -> Attempt | None:
        """The best attempt with all open layers in 8 bits, repaired where it does not keep the accuracy."""
        for methods in (METHODS[:1], METHODS[1:]):
            for method in methods:
                if self.calibration(method) is not None:
                    for per_channel in (True, False):
                        self.attempt(method, per_channel, self.exclude)
            best = max(self.attempts, key=lambda attempt: attempt.accuracy)
            if keeps(best):
                return best
        return self.repaired(best, keeps)

    def repaired(self, attempt: Attempt, keeps: Callable[[Attempt], bool]) -> Attempt | None:
        """The attempt with the fewest of the worst layers in float; None where all but one are not enough.

        Twice as many are tried each time; then the gap between too few and enough is halved.
        """
        ranked = self.ranked(attempt)

        def without(count: int) -> Attempt:
            return self.attempt(attempt.method, attempt.per_channel, (*self.exclude, *ranked[:count]))

        few, count, most = 0, 1, len(ranked) - 1
        enough: Attempt | None = None
        while enough is None and few < most:
            tried = without(count)
            if keeps(tried):
                enough = tried
            else:
                few, count = count, min(2 * count, most)
        while enough is not None and count - few > 1:
            middle = (few + count) // 2
            tried = without(middle)
            if keeps(tried):
                enough, count = tried, middle
            else:
                few = middle
        return enough

    def ranked(self, attempt: Attempt) -> list[str]:
        """The open layers, those first whose quantisation alone changes the logits most: least signal to noise."""
        images = self.images[:_RANKING_IMAGES]
        exact = OnnxModel(self.document).logits(images)
        calibration = self.calibration(attempt.method)
        assert calibration is not None

        def noise(name: str) -> float:
            model = self.quantiser.quantised(calibration, per_channel=attempt.per_channel, only=[name])
            return float(((OnnxModel(model).logits(images) - exact) ** 2).sum())

        return sorted(self.open_layers, key=noise, reverse=True)
