"""FBNet: a chain of 22 layers, each one of nine blocks (about 10^21 archs).

Wu et al., "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search", CVPR 2019,
https://arxiv.org/abs/1812.03443. Channels, strides and layers per stage are those of the paper's Table 1, blocks those
of Table 2; what a ``skip`` is where shapes change is taken from Facebook's code.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gennas.arch import Arch, PartialArch
from gennas.spaces.figure import Figure
from gennas.spaces.parts.choice import Choice
from gennas.spaces.parts.space import PartsSpace
from gennas.spaces.parts.stage import Stage
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.tasks import Task

SKIP = "skip"
#: Kernel, expansion, and groups of the 1x1 convolutions, in the order of the digits that tables write.
BLOCKS: dict[str, tuple[int, int, int]] = {
    "k3_e1": (3, 1, 1),
    "k3_e1_g2": (3, 1, 2),
    "k3_e3": (3, 3, 1),
    "k3_e6": (3, 6, 1),
    "k5_e1": (5, 1, 1),
    "k5_e1_g2": (5, 1, 2),
    "k5_e3": (5, 3, 1),
    "k5_e6": (5, 6, 1),
}
OPS = (*BLOCKS, SKIP)
#: Channels, stride of the first layer, and layers of every stage.
STAGES = ((16, 1, 1), (24, 2, 4), (32, 2, 4), (64, 2, 4), (112, 1, 4), (184, 2, 4), (352, 1, 1))
STEM = 16
LAYERS = sum(layers for _, _, layers in STAGES)

_DIGIT = f"[0-{len(OPS) - 1}?]"
_DIGITS = re.compile(rf"{_DIGIT}( {_DIGIT}){{{LAYERS - 1}}}")


@dataclass(frozen=True)
class FBNet(PartsSpace):
    """The space ``fbnet``.

    Skeleton: a 3x3 convolution with stride 2, 22 layers in seven stages, a 1x1 convolution, global average pooling and
    a linear layer. A layer is an inverted bottleneck of kernel 3 or 5 and expansion 1, 3 or 6, one of expansion 1 whose
    1x1 convolutions have two groups, or ``skip``: the identity, or in the first layer of a stage, where channels or
    resolution change, a 1x1 convolution with that stride, batch norm and ReLU.

    Args:
        last: channels of the last convolution (published: 1984 in FBNet-B and -C, 1504 in FBNet-A).
    """

    name: ClassVar[str] = "fbnet"

    last: int = 1984

    def body(self) -> Iterator[Stage]:
        op = Choice("op", OPS).per_block()
        for channels, stride, layers in STAGES:
            yield Stage(channels, stride, layers, op=op)

    def read(self, key: str) -> PartialArch:
        """Parses ``fbnet:k3_e1-k3_e6-skip-...``, or 22 digits such as ``0 3 8 ...``; ``?`` leaves a layer undecided.

        Digits count the blocks in the order of :data:`OPS`, as in the latency tables of HELP and HW-NAS-Bench.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        words = " ".join(key.split())
        if _DIGITS.fullmatch(words):
            ops = ("?" if digit == "?" else OPS[int(digit)] for digit in words.split(" "))
            key = f"{self.name}:{'-'.join(ops)}"
        return super().read(key)

    def notations(self, arch: Arch) -> dict[str, str]:
        """``digits``: the 22 digits of the latency tables of HELP and HW-NAS-Bench, which :meth:`read` reads."""
        return {"digits": " ".join(str(OPS.index(op)) for op in arch.ops[1:-1])}

    def canonical(self, arch: Arch) -> Arch:
        """The arch whose skips come last among the layers of a stage that are alike.

        All layers of a stage but the first have the same shapes, and there a ``skip`` is the identity: only the order
        of the other blocks matters. About a third of all archs are canonical, ``81 * 5265^5``.
        """
        ops, layers, first = list(arch.ops[1:-1]), [], 0
        for _, _, count in STAGES:
            alike = ops[first + 1 : first + count]
            layers += [ops[first], *sorted(alike, key=lambda op: op == SKIP)]
            first += count
        return arch if layers == ops else self.arch((arch.ops[0], *layers, arch.ops[-1]))

    def figures(self, arch: Arch) -> list[Figure]:
        """A row for every stage; all 22 layers in one would be too wide to be read."""
        rows, first = [], 1
        for number, (channels, stride, layers) in enumerate(STAGES, start=1):
            slots = range(first, first + layers)
            boxes = tuple((arch.ops[slot], self.template.slots[slot]) for slot in slots)
            title = f"stage {number}: {channels} channels{', half the resolution' if stride == 2 else ''}"
            rows.append(Figure(title, boxes, tuple(itertools.pairwise(range(layers))), (0,), (layers - 1,)))
            first += layers
        return rows

    def stem(self, task: Task) -> tuple[nn.Module, int]:
        from gennas.spaces.fbnet.network import convolution

        return convolution(image_shape(task, f"space {self.name!r}")[0], STEM, 3, 2), STEM

    def block(self, channels_in: int, channels: int, stride: int, op: str) -> nn.Module:
        from gennas.spaces.fbnet.network import Block, skip

        return skip(channels_in, channels, stride) if op == SKIP else Block(channels_in, channels, stride, *BLOCKS[op])

    def head(self, channels: int, task: Task) -> nn.Module:
        from torch import nn

        from gennas.spaces.fbnet.network import convolution

        return nn.Sequential(
            convolution(channels, self.last), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.last, task.classes)
        )
