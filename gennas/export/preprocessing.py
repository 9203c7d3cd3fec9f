"""What becomes of an image before a network sees it: as numbers, and as part of an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gennas.errors import InvalidInputError
from gennas.export.onnx import IMAGES, LOGITS

#: The first operator set in which a resize is antialiased.
_OPSET = 18
#: The newest ONNX format that the operator set came with.
_IR_VERSION = 8


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes the input of a network.

    Attributes:
        shape: ``(channels, height, width)`` of the input.
        mean: per channel, on the scale from 0 to 1.
        std: per channel, on the same scale.
        steps: what the task says of its files, in words; empty where it has none.
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    steps: Mapping[str, Any]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Preprocessing:
        """Of the ``arch.json`` of a trained network.

        Raises:
            KeyError, TypeError, ValueError: it lacks something.
        """
        channels, height, width = map(int, facts["input_shape"])
        mean, std = (tuple(map(float, facts[name])) for name in ("mean", "std"))
        if len(mean) != channels or len(std) != channels or not np.isfinite([*mean, *std]).all() or min(std) <= 0:
            raise ValueError(f"mean {mean} and std {std} are not those of {channels} channels")
        return cls((channels, height, width), mean, std, dict(facts.get("preprocessing", {})))

    @property
    def reads_files(self) -> bool:
        """Whether image files can be read as gennas reads them: square, in colour or in grey."""
        channels, height, width = self.shape
        return channels in (1, 3) and height == width

    def normalised(self, pixels: np.ndarray) -> np.ndarray:
        """``(b, c, h, w)`` uint8 as float32, as the network was trained on it."""
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (self.mean, self.std))
        return ((pixels.astype(np.float32) / np.float32(255) - mean) / std).astype(np.float32)

    def document(self) -> dict[str, Any]:
        """For ``preprocess.json``."""
        channels, height, width = self.shape
        return {
            "input": IMAGES,
            "output": LOGITS,
            "shape": ["batch", channels, height, width],
            "dtype": "float32",
            "feed": "(pixels / 255 - mean) / std per channel",
            "mean": list(self.mean),
            "std": list(self.std),
            "size": [height, width],
            "files": dict(self.steps),
        }


def with_preprocessing(document: bytes, preprocessing: Preprocessing) -> bytes:
    """A model that takes raw pixels: ``images (batch, height, width, 3) uint8 -> logits (batch, classes)``.

    Images of any size are resized (bilinear, antialiased) and normalised in the model. Resizing is done on integers,
    in the two passes of Pillow, which reads images for trainings.

    Args:
        document: the model that takes normalised images, with a batch of any size.
        preprocessing: of its images.

    Raises:
        InvalidInputError: its images are not in colour.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    channels, height, width = preprocessing.shape
    if channels != 3:
        raise InvalidInputError(
            f"is for images in colour, with 3 channels; the network takes {channels}.", argument="raw_images"
        )
    model = onnx.load_from_string(document)
    graph = model.graph
    normalised = graph.input[0].name
    constants: dict[str, np.ndarray] = {
        "raw_first": np.array([0], np.int64),
        "raw_shape": np.array([3, height, width], np.int64),
        "raw_255": np.array(255, np.float32),
        "raw_mean": np.array(preprocessing.mean, np.float32).reshape(1, 3, 1, 1),
        "raw_std": np.array(preprocessing.std, np.float32).reshape(1, 3, 1, 1),
    }
    nodes = [
        helper.make_node("Transpose", ["raw_images"], ["raw_planes"], perm=[0, 3, 1, 2]),
        # All four sizes, although only two change: onnxruntime moves a resize with `axes` before the transposition.
        helper.make_node("Shape", ["raw_planes"], ["raw_sizes"]),
        helper.make_node("Gather", ["raw_sizes", "raw_first"], ["raw_batch"]),
        helper.make_node("Concat", ["raw_batch", "raw_shape"], ["raw_size"], axis=0),
        helper.make_node(
            "Resize",
            ["raw_planes", "", "", "raw_size"],
            ["raw_resized"],
            mode="linear",
            antialias=1,
            exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Cast", ["raw_resized"], ["raw_pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["raw_pixels", "raw_255"], ["raw_scaled"]),
        helper.make_node("Sub", ["raw_scaled", "raw_mean"], ["raw_centred"]),
        helper.make_node("Div", ["raw_centred", "raw_std"], [normalised]),
    ]
    image = helper.make_tensor_value_info("raw_images", TensorProto.UINT8, ["batch", "height", "width", 3])
    wrapped = helper.make_graph(
        [*nodes, *graph.node],
        graph.name,
        [image],
        graph.output,
        [*(numpy_helper.from_array(value, name) for name, value in constants.items()), *graph.initializer],
    )
    opset = max(_OPSET, *(one.version for one in model.opset_import if one.domain in ("", "ai.onnx")))
    result = helper.make_model(
        wrapped, opset_imports=[helper.make_opsetid("", opset)], ir_version=max(model.ir_version, _IR_VERSION)
    )
    onnx.checker.check_model(result)
    return bytes(result.SerializeToString())
