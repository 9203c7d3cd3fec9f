"""ElasticSpace: the sub-networks of a parent, from its choices of resolution, depths, kernels and expansions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from gennas.arch import Arch
from gennas.spaces.lite.parent import Parent
from gennas.spaces.parts.choice import Choice, Option
from gennas.spaces.parts.space import PartsSpace
from gennas.spaces.parts.stage import Resize, Stage
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.tasks import Task

#: Sides of images in pixels.
RESOLUTIONS = (48, 56, 64, 72, 80, 88, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 260)
#: Kernels below a parent's, and expansions below its expansion, from which sub-networks choose.
KERNELS, EXPANSIONS = (3, 5), (2, 3, 4, 6)


class ElasticSpace(PartsSpace):
    """The sub-networks of a parent: a resolution, a depth per stage, a kernel and an expansion per block.

    A subclass has a ``name`` and a ``parent``. Cai et al., "Once-for-All: Train One Network and Specialize it for
    Efficient Deployment", ICLR 2020, https://arxiv.org/abs/1908.09791.

    Attributes:
        parent: the largest arch, but for the resolution.
        resolutions: that archs choose from.
        brings_weights: whether :meth:`parent_network` has its pretrained weights, rather than those of a file.
    """

    parent: ClassVar[Parent]
    sizes_images: ClassVar[bool] = True
    resolutions: ClassVar[tuple[int, ...]] = RESOLUTIONS
    brings_weights: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if (parent := getattr(cls, "parent", None)) is not None:
            cls.normalisation = (parent.mean, parent.std)

    @classmethod
    def parent_network(cls) -> nn.Module | None:
        """The network of the user's own that is the parent; None, as by default, where a file has its weights.

        See :mod:`gennas.spaces.lite.chain`.
        """
        return None

    def native_task(self, arch: Arch, task: Task) -> Task:
        return task.resized(self.resolution(arch))

    def body(self) -> Iterator[Stage | Resize]:
        """A stage of one block, a kernel of 3 and an expansion of 1 are no choices."""
        yield Resize(Choice("resolution", self.resolutions))
        choices: dict[tuple[str, int], Choice] = {}

        def up_to(name: str, options: tuple[int, ...], most: int) -> Option | Choice:
            fitting = (*(option for option in options if option < most), most)
            if len(fitting) == 1:
                return most
            return choices.setdefault((name, most), Choice(name, fitting))

        for stage in self.parent.stages:
            depth = up_to("depth", tuple(range(1, stage.depth)), stage.depth)
            kernel = up_to("kernel", KERNELS, stage.kernel)
            expansion = up_to("expansion", EXPANSIONS, stage.expansion) if stage.expansion > 1 else 1
            yield Stage(
                stage.channels,
                stage.stride,
                depth.per_stage() if isinstance(depth, Choice) else depth,
                kernel=kernel.per_block() if isinstance(kernel, Choice) else kernel,
                expansion=expansion.per_block() if isinstance(expansion, Choice) else expansion,
            )

    def stem(self, task: Task) -> tuple[nn.Module, int]:
        from gennas.spaces.lite.network import convolution

        channels = image_shape(task, f"space {self.name!r}")[0]
        return convolution(channels, self.parent.stem, 3, 2, self.parent), self.parent.stem

    def block(self, channels_in: int, channels: int, stride: int, kernel: int, expansion: int) -> nn.Module:
        from gennas.spaces.lite.network import InvertedResidual

        return InvertedResidual(channels_in, channels, stride, kernel, expansion, self.parent)

    def head(self, channels: int, task: Task) -> nn.Module:
        from gennas.spaces.lite.network import Head

        return Head(channels, self.parent, task.num_classes)

    def build(self, arch: Arch, task: Task) -> nn.Module:
        """Builds the network: ``(b, c, h, w) -> (b, classes)`` logits; images of another size are resized first."""
        from torch import nn

        from gennas.spaces.lite.network import Resized, with_fixed_padding

        side = self.resolution(arch)
        network = super().build(arch, task)
        network[0] = nn.Identity() if tuple(task.input_shape[1:]) == (side, side) else Resized(side)  # type: ignore[operator]
        return with_fixed_padding(network, side)

    def resolution(self, arch: Arch) -> int:
        """Side of the images that an arch's network computes with, in pixels."""
        option = self._options(arch.ops[1:-1])[0]
        return int(option)

    def parent_arch(self, resolution: int | None = None) -> Arch:
        """The parent's own arch, at its own resolution or at another one."""
        side = self.parent.resolution if resolution is None else resolution
        ops = []
        for decision in self.layout.decisions:
            option = side if decision.name == "resolution" else max(decision.choice.options)
            ops.append(decision.tokens[decision.choice.options.index(option)])
        return self.arch((self.template.vocabulary[0], *ops, self.template.vocabulary[-1]))
