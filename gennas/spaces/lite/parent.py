"""Parent: the pretrained network whose sub-networks are an elastic space."""

from __future__ import annotations

from dataclasses import dataclass

from gennas.errors import InvalidInputError

#: Activations by their names, with the classes of torch that compute them.
ACTIVATIONS = {"relu6": "ReLU6", "relu": "ReLU", "silu": "SiLU", "hardswish": "Hardswish"}
PADDINGS = ("same", "symmetric")


@dataclass(frozen=True)
class ParentStage:
    """Blocks of a parent in a row, all but the first with stride 1.

    Attributes:
        channels: output channels of every block.
        stride: of the first block.
        depth: number of blocks.
        kernel: side of the depthwise filters.
        expansion: how many times wider than its input a block is inside; with 1 no layer widens it.
    """

    channels: int
    stride: int
    depth: int
    kernel: int
    expansion: int

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("stride", 1), ("depth", 1), ("kernel", 1), ("expansion", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InvalidInputError(f"{name} of a parent's stage is {value!r}; expected an integer from {least}.")
        if self.kernel % 2 == 0:
            raise InvalidInputError(f"kernel of a parent's stage is {self.kernel}; expected an odd number.")


@dataclass(frozen=True)
class Parent:
    """A chain of inverted residual blocks between a 3x3 convolution of stride 2 and a classifier.

    Attributes:
        title: as people call it, e.g. ``EfficientNet-Lite0``.
        stem: channels of the first convolution.
        stages: between the first and the last convolution.
        head: channels of the last 1x1 convolution, whose averages are classified.
        resolution: side of the images it was trained on.
        mean: of its input's channels on the scale from 0 to 1.
        std: likewise.
        norm_eps: of its batch norms.
        dropout: before the classifier.
        activation: of all layers that have one; a name in ``ACTIVATIONS``.
        padding: of convolutions with a stride: ``same``, as TensorFlow pads, or ``symmetric``, as torch does.
    """

    title: str
    stem: int
    stages: tuple[ParentStage, ...]
    head: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    norm_eps: float = 1e-5
    dropout: float = 0.2
    activation: str = "relu6"
    padding: str = "same"

    def __post_init__(self) -> None:
        for name, known in (("activation", ACTIVATIONS), ("padding", PADDINGS)):
            if (value := getattr(self, name)) not in known:
                raise InvalidInputError(f"{name} of parent {self.title!r} is {value!r}; expected {', '.join(known)}.")
