"""Once-for-all MobileNetV3: five stages of inverted bottlenecks, of 2 to 4 blocks each.

Cai, Gan, Wang, Zhang and Han, "Once-for-All: Train One Network and Specialize it for Efficient Deployment", ICLR 2020,
https://arxiv.org/abs/1908.09791. The network is that of ``OFAMobileNetV3`` in https://github.com/mit-han-lab/once-for-all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidInputError
from gennas.spaces.figure import Figure
from gennas.spaces.mobilenet_v3.notation import native, ofa
from gennas.spaces.parts.choice import Choice
from gennas.spaces.parts.space import PartsSpace
from gennas.spaces.parts.stage import Resize, Stage
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.tasks import Task

RESOLUTIONS = tuple(range(128, 225, 4))
KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)
#: Percent of the channels that once-for-all networks were trained for.
WIDTHS = (100, 120)
#: Channels, stride, activation and squeeze-excite of the stages.
STAGES = (
    (24, 2, "relu", False),
    (40, 2, "relu", True),
    (80, 2, "h_swish", False),
    (112, 1, "h_swish", True),
    (160, 2, "h_swish", True),
)
#: Channels of the stem, before the averages, and before the classifier.
STEM, WIDENED, MIXED = 16, 960, 1280


@dataclass(frozen=True)
class MobileNetV3(PartsSpace):
    """The space ``mobilenet_v3``: the resolution, five depths, and a kernel and an expansion for each of 20 blocks.

    Archs are written like ``mobilenet_v3:r224/2.2.2.2.3/k3e4-k5e6-...``: the resolution, the depth of every stage, and
    the kernel and expansion of every block that is there. The forms of :func:`.notation.native` are read, too.

    Args:
        width: percent of the channels: 100 or 120.

    Raises:
        InvalidInputError: another width.
    """

    name: ClassVar[str] = "mobilenet_v3"

    width: int = 100

    def __post_init__(self) -> None:
        if self.width not in WIDTHS:
            raise InvalidInputError(
                f"skeleton setting width={self.width} of {self.name}; expected 100 or 120, the percent of the channels "
                "that once-for-all networks have."
            )

    def body(self) -> Iterator[Stage | Resize]:
        yield Resize(Choice("resolution", RESOLUTIONS))
        kernel, expansion = Choice("kernel", KERNELS), Choice("expansion", EXPANSIONS)
        depth = Choice("depth", DEPTHS)
        for channels, stride, act, se in STAGES:
            yield Stage(
                self._wide(channels),
                stride,
                depth.per_stage(),
                kernel=kernel.per_block(),
                expansion=expansion.per_block(),
                act=act,
                se=se,
            )

    def _wide(self, channels: int) -> int:
        from gennas.spaces.mobilenet_v3.network import divisible

        return divisible(channels * self.width / 100)

    def figures(self, arch: Arch) -> list[Figure]:
        """A row for every stage, with a box for every block; all decisions in one row would be too wide to be read."""
        op_of = dict(zip(self.template.slots, arch.ops, strict=True))
        rows = []
        for number, (channels, stride, _, se) in enumerate(STAGES, start=1):
            depth = int(op_of[f"depth.{number}"][1:])
            names = [f"{number}.{block}" for block in range(1, depth + 1)]
            boxes = tuple((op_of[f"kernel.{name}"] + op_of[f"expansion.{name}"], f"block {name}") for name in names)
            words = [f"resolution {op_of['resolution'][1:]}; "] if number == 1 else []
            words += [f"stage {number}: {self._wide(channels)} channels"]
            words += [", half the resolution"] if stride == 2 else []
            words += [", squeeze-excite"] if se else []
            rows.append(Figure("".join(words), boxes, tuple(pairwise(range(depth))), (0,), (depth - 1,)))
        return rows

    def notations(self, arch: Arch) -> dict[str, str]:
        """``ofa``: the object of once-for-all's own code, which :meth:`read` reads."""
        op_of = dict(zip(self.template.slots, arch.ops, strict=True))
        depths = [int(op_of[f"depth.{stage}"][1:]) for stage in range(1, len(STAGES) + 1)]
        blocks = {
            (stage, place): (
                int(op_of[f"kernel.{stage + 1}.{place + 1}"][1:]),
                int(op_of[f"expansion.{stage + 1}.{place + 1}"][1:]),
            )
            for stage, depth in enumerate(depths)
            for place in range(depth)
        }
        return {"ofa": ofa(int(op_of["resolution"][1:]), depths, blocks)}

    def read(self, key: str) -> PartialArch:
        """Parses a key, or what :func:`.notation.native` reads; ``?`` in a key leaves a choice undecided.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        return super().read(native(key))

    def stem(self, task: Task) -> tuple[nn.Module, int]:
        from torch import nn

        from gennas.spaces.mobilenet_v3.network import Bottleneck, convolution

        channels = self._wide(STEM)
        first = convolution(image_shape(task, f"space {self.name!r}")[0], channels, 3, 2, "h_swish")
        return nn.Sequential(first, Bottleneck(channels, channels, 1, 3, 1, "relu", False)), channels

    def block(
        self, channels_in: int, channels: int, stride: int, kernel: int, expansion: int, act: str, se: bool
    ) -> nn.Module:
        from gennas.spaces.mobilenet_v3.network import Bottleneck

        return Bottleneck(channels_in, channels, stride, kernel, expansion, act, se)

    def head(self, channels: int, task: Task) -> nn.Module:
        from gennas.spaces.mobilenet_v3.network import Head

        return Head(channels, self._wide(WIDENED), self._wide(MIXED), task.num_classes)
