"""The spaces ``lite0``, ``lite1`` and ``lite2``: the sub-networks of EfficientNet-Lite.

EfficientNet without squeeze-excite and with ReLU6, for INT8 and phones; of the scalings of Tan and Le, "EfficientNet:
Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, https://arxiv.org/abs/1905.11946. Stages are
those of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.parent import Parent, ParentStage

_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3
#: Stride, kernel and expansion of the stages.
_STAGES = ((1, 3, 1), (2, 3, 6), (2, 5, 6), (2, 3, 6), (1, 5, 6), (2, 5, 6), (1, 3, 6))


def _parent(title: str, resolution: int, channels: tuple[int, ...], depths: tuple[int, ...], dropout: float) -> Parent:
    stages = tuple(
        ParentStage(width, stride, depth, kernel, expansion)
        for (stride, kernel, expansion), width, depth in zip(_STAGES, channels, depths, strict=True)
    )
    return Parent(title, 32, stages, 1280, resolution, _MEAN, _STD, 1e-3, dropout)


_WIDTH_1_0 = (16, 24, 40, 80, 112, 192, 320)
_WIDTH_1_1 = (16, 24, 48, 88, 120, 208, 352)


@dataclass(frozen=True)
class Lite0(ElasticSpace):
    """The space ``lite0``: sub-networks of EfficientNet-Lite0."""

    name: ClassVar[str] = "lite0"
    parent: ClassVar[Parent] = _parent("EfficientNet-Lite0", 224, _WIDTH_1_0, (1, 2, 2, 3, 3, 4, 1), 0.2)


@dataclass(frozen=True)
class Lite1(ElasticSpace):
    """The space ``lite1``: sub-networks of EfficientNet-Lite1."""

    name: ClassVar[str] = "lite1"
    parent: ClassVar[Parent] = _parent("EfficientNet-Lite1", 240, _WIDTH_1_0, (1, 3, 3, 4, 4, 5, 1), 0.2)


@dataclass(frozen=True)
class Lite2(ElasticSpace):
    """The space ``lite2``: sub-networks of EfficientNet-Lite2."""

    name: ClassVar[str] = "lite2"
    parent: ClassVar[Parent] = _parent("EfficientNet-Lite2", 260, _WIDTH_1_1, (1, 3, 3, 4, 4, 5, 1), 0.3)
