"""INT8: static post-training quantisation of ONNX models with onnxruntime.

Weights are symmetric 8-bit integers, activations asymmetric unsigned ones: what onnxruntime advises for x86 processors
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). The models hold pairs that quantise and
dequantise (QDQ), which onnxruntime fuses into integer kernels as it loads them. Jacob et al., "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from gennas.errors import InvalidInputError
from gennas.machine import sums_of_bytes_saturate

if TYPE_CHECKING:
    import onnx

#: How the range of an activation is taken from what calibration images give: all of it, all but the outermost 0.01 %,
#: or the part that keeps the most information.
Method = Literal["min-max", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)

#: Images whose activations are held at a time while histograms are made of them.
_CHUNK = 16
_PERCENTILE = 99.99


def quantised(document: bytes, images: np.ndarray, *, per_channel: bool = True, exclude: Sequence[str] = ()) -> bytes:
    """An 8-bit model with the inputs and outputs of a float one, its ranges the smallest and largest values seen.

    Args:
        document: ONNX model of float32 with one input, ``(batch, c, h, w)``.
        images: ``(n, c, h, w)`` float32 inputs to calibrate with, as the model takes them.
        per_channel: whether each output channel of a convolution has a scale of its own.
        exclude: names of nodes that stay in float; see :attr:`Quantiser.layers`.

    Returns:
        The 8-bit model; the float one where nothing depends on the images.

    Raises:
        InvalidInputError: no images, of another shape, or not finite; or a name in ``exclude`` that is none of a layer.
    """
    quantiser = Quantiser(document)
    if not quantiser.layers:
        return document
    return quantiser.quantised(quantiser.calibrated(images), per_channel=per_channel, exclude=exclude)


@dataclass(frozen=True)
class Calibration:
    """Ranges of all activations of a model.

    Attributes:
        method: how they were chosen.
        ranges: onnxruntime's own table of them.
    """

    method: Method
    ranges: Any


class Quantiser:
    """Quantises one ONNX model, several times with the same calibration.

    Args:
        document: ONNX model of float32 with one input, ``(batch, c, h, w)``.

    Attributes:
        layers: names of the nodes that can be quantised, in the order of execution; none of a network whose output does
            not depend on its input.

    Raises:
        InvalidInputError: the model has several inputs.
    """

    def __init__(self, document: bytes) -> None:
        self.model = _prepared(document)
        inputs = len(self.model.graph.input)
        if inputs > 1:
            raise InvalidInputError(f"the ONNX model has {inputs} inputs; only networks of images can be quantised.")
        self.op_types = _op_types()
        nodes = [node for node in self.model.graph.node if node.op_type in self.op_types]
        self.layers = tuple(node.name for node in nodes) if inputs else ()

    def calibrated(self, images: np.ndarray, method: Method = "min-max") -> Calibration:
        """Runs images through the float model and notes the ranges of its activations.

        Args:
            images: ``(n, c, h, w)`` float32.
            method: how a range is chosen.

        Raises:
            InvalidInputError: no images, of another shape, or not finite; or no histogram can be made of an activation,
                as all its values are nearly the same.
        """
        from onnxruntime.quantization import CalibrationMethod, create_calibrator

        entry = self.model.graph.input[0]
        sizes = [size.dim_value for size in entry.type.tensor_type.shape.dim]
        _check(images, sizes[1:])
        kind, settings = {
            "min-max": (CalibrationMethod.MinMax, {}),
            "percentile": (CalibrationMethod.Percentile, {"percentile": _PERCENTILE}),
            "entropy": (CalibrationMethod.Entropy, {}),
        }[method]
        # A model for a fixed number of images takes just as many; the last batch is filled up from the beginning.
        batch = sizes[0] or _CHUNK
        rows = np.resize(np.arange(len(images)), -(-len(images) // batch) * batch).reshape(-1, batch)
        with _quiet(), TemporaryDirectory() as folder:
            source = Path(folder, "model.onnx")
            source.write_bytes(self.model.SerializeToString())
            calibrator = create_calibrator(
                source,
                list(self.op_types),
                augmented_model_path=f"{folder}/augmented.onnx",
                calibrate_method=kind,
                extra_options=settings,
            )
            step = max(_CHUNK // batch, 1)
            for start in range(0, len(rows), step):
                feeds = [{entry.name: images[chosen].astype(np.float32)} for chosen in rows[start : start + step]]
                try:
                    calibrator.collect_data(_Reader(feeds))
                except ValueError as error:  # of numpy.histogram
                    raise InvalidInputError(
                        f"calibration by {method} fails: an activation is all but constant ({error}); use min-max."
                    ) from error
            return Calibration(method, calibrator.compute_data())

    def quantised(
        self,
        calibration: Calibration,
        *,
        per_channel: bool = True,
        exclude: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> bytes:
        """The 8-bit model.

        Args:
            calibration: of this model.
            per_channel: whether each output channel of a convolution has a scale of its own.
            exclude: names of layers that stay in float.
            only: names of the layers that do not; all by default.

        Raises:
            InvalidInputError: a name that is none of a layer.
        """
        if unknown := [name for name in (*exclude, *only) if name not in self.layers]:
            raise InvalidInputError(
                f"{unknown[0]!r} is not the name of a layer; expected some of {', '.join(self.layers[:3])}, ..."
            )
        import onnx
        from onnxruntime.quantization import QDQQuantizer, QuantType

        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        with _quiet():
            quantizer = QDQQuantizer(
                model,
                per_channel,
                # Weights of 7 bits, whose sums fit.
                sums_of_bytes_saturate(),
                QuantType.QInt8,
                QuantType.QUInt8,
                calibration.ranges,
                [*only],
                [*exclude],
                list(self.op_types),
                {},
            )
            quantizer.quantize_model()
            return quantizer.model.model.SerializeToString()


class _Reader:
    """Hands a calibrator its feeds one by one."""

    def __init__(self, feeds: list[dict[str, np.ndarray]]) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def _prepared(document: bytes) -> onnx.ModelProto:
    """The model with constants and batch norms folded, and with the shapes of all activations."""
    import onnx
    from onnxruntime.quantization import quant_pre_process

    with _quiet(), TemporaryDirectory() as folder:
        target = f"{folder}/prepared.onnx"
        # Symbolic shapes are for transformers, and need sympy.
        quant_pre_process(onnx.load_from_string(document), target, skip_symbolic_shape=True)
        model = onnx.load(target)
    for node in model.graph.node:
        node.name = node.name or node.output[0]  # onnxruntime gives no name to what it has put together
    return model


def _op_types() -> tuple[str, ...]:
    """Operators that can be quantised; sorted, as onnxruntime's own set has another order in every process."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return tuple(sorted({*QLinearOpsRegistry, *QDQRegistry}))


def _check(images: np.ndarray, shape: Sequence[int]) -> None:
    if images.ndim != 4 or not len(images) or any(a != b for a, b in zip(images.shape[1:], shape, strict=True) if b):
        raise InvalidInputError(
            f"calibration images have shape {images.shape}; expected (n, {', '.join(map(str, shape))}), n >= 1.",
            argument="images",
        )
    if not np.isfinite(images).all():
        raise InvalidInputError("calibration images must be finite.", argument="images")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what onnxruntime prints and logs while it quantises."""
    before, handlers = logging.root.manager.disable, list(logging.root.handlers)
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
        # Its logging.info() gives the root logger a handler, by which all that gennas logs would be said twice.
        logging.root.handlers[:] = [handler for handler in logging.root.handlers if handler in handlers]
