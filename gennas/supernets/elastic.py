"""ElasticSupernet: a parent as one network whose blocks can be narrower, smaller and fewer."""

from __future__ import annotations

import copy
from typing import NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.arch import Arch
from gennas.spaces.lite.elastic import KERNELS, ElasticSpace
from gennas.spaces.lite.network import Head, InvertedResidual, SamePad, same_padding
from gennas.spaces.lite.pretrained import pretrained_network
from gennas.spaces.parts.network import value_of
from gennas.supernets.base import Supernet
from gennas.supernets.paths import arch_of
from gennas.tasks import Task
from gennas.weights import PUBLISHED


class BlockPlan(NamedTuple):
    """A block of an arch.

    Attributes:
        number: of the parent's block.
        kernel: side of its filters.
        expansion: of its channels.
    """

    number: int
    kernel: int
    expansion: int


class ElasticBlock(nn.Module):
    """An inverted residual block of the parent, of which archs use the first channels and the middles of filters.

    Args:
        block: of the parent; taken over, not copied.
        kernels: sides of filters that archs choose from.
    """

    def __init__(self, block: InvertedResidual, kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.block = block
        most = max(kernels)
        # Smaller filters are linear maps of the middles, at first the middles themselves.
        self.maps = nn.ParameterDict({str(k): nn.Parameter(torch.eye(k * k)) for k in kernels if k < most})

    @property
    def width_in(self) -> int:
        """Input channels."""
        project, expand = self.block.project, self.block.expand
        first = expand if isinstance(expand, nn.Sequential) else project
        return cast(nn.Conv2d, first[0]).in_channels

    def filters(self, kernel: int, hidden: int) -> Tensor:
        """The depthwise filters ``(hidden, 1, kernel, kernel)``."""
        weight = conv_of(self.block.filter).weight[:hidden]
        cut = (weight.shape[-1] - kernel) // 2
        if not cut:
            return weight
        middle = weight[:, :, cut : cut + kernel, cut : cut + kernel]
        return (middle.flatten(2) @ self.maps[str(kernel)].T).reshape(middle.shape)

    def forward(self, x: Tensor, kernel: int, expansion: int) -> Tensor:
        block = self.block
        hidden = x.shape[1] * expansion
        y = x
        if isinstance(block.expand, nn.Sequential):
            y = functional.conv2d(y, conv_of(block.expand).weight[:hidden])
            y = _acted(block.expand, _normed(block.expand, y))
        own = conv_of(block.filter)
        stride = own.stride[0]
        top, bottom = _padding(block.filter, y.shape[2], kernel, stride)
        left, right = _padding(block.filter, y.shape[3], kernel, stride)
        if (top, left) == (bottom, right):
            y = functional.conv2d(y, self.filters(kernel, hidden), stride=stride, padding=(top, left), groups=hidden)
        else:
            y = functional.pad(y, (left, right, top, bottom))
            y = functional.conv2d(y, self.filters(kernel, hidden), stride=stride, groups=hidden)
        y = _acted(block.filter, _normed(block.filter, y))
        y = _normed(block.project, functional.conv2d(y, conv_of(block.project).weight[:, :hidden]))
        return x + y if block.adds else y

    @torch.no_grad()
    def sort_channels(self) -> None:
        """Orders the inner channels by importance, so that archs that use the first ones use the best ones.

        Importance is the L1 norm of the weights that read a channel, scaled by what the norm before lets through. The
        function stays the same.
        """
        block = self.block
        if not isinstance(block.expand, nn.Sequential):
            return
        scale = norm_of(block.filter).weight.abs()
        order = (conv_of(block.project).weight.abs().sum((0, 2, 3)) * scale).argsort(descending=True, stable=True)
        conv_of(block.project).weight.copy_(conv_of(block.project).weight[:, order])
        for part in (block.expand, block.filter):
            conv_of(part).weight.copy_(conv_of(part).weight[order])
            norm = norm_of(part)
            for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                cast(Tensor, values).copy_(cast(Tensor, values)[order])

    @torch.no_grad()
    def copy_to(self, other: InvertedResidual, kernel: int, expansion: int) -> None:
        """Copies what an arch uses into a block of its own."""
        hidden = self.width_in * expansion
        block = self.block
        if isinstance(block.expand, nn.Sequential):
            conv_of(other.expand).weight.copy_(conv_of(block.expand).weight[:hidden])
            _copy_norm(norm_of(block.expand), norm_of(other.expand))
        conv_of(other.filter).weight.copy_(self.filters(kernel, hidden))
        _copy_norm(norm_of(block.filter), norm_of(other.filter))
        conv_of(other.project).weight.copy_(conv_of(block.project).weight[:, :hidden])
        _copy_norm(norm_of(block.project), norm_of(other.project))


class ElasticSupernet(Supernet):
    """The sub-networks of a parent share its weights: first channels, middles of filters, first blocks of stages.

    Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment", ICLR 2020,
    https://arxiv.org/abs/1908.09791; there, too, channels are sorted and filters are transformed.

    Args:
        space: of the archs.
        task: of the classifier.
        network: the parent's, as ``space.build(space.parent_arch(), task)`` returns it; taken over, not copied.
    """

    space: ElasticSpace

    def __init__(self, space: ElasticSpace, task: Task, network: nn.Module) -> None:
        super().__init__()
        self.space, self.task = space, task
        modules = list(cast(nn.Sequential, network).children())
        self.stem, self.head = modules[1], cast(Head, modules[-1])
        kernels = [stage.kernel for stage in space.parent.stages for _ in range(stage.depth)]
        self.blocks = nn.ModuleList(
            ElasticBlock(cast(InvertedResidual, block), (*(k for k in KERNELS if k < kernel), kernel))
            for block, kernel in zip(modules[2:-1], kernels, strict=True)
        )

    @classmethod
    def pretrained(cls, space: ElasticSpace, task: Task) -> Self:
        """With the published weights of the space's parent, and its channels in the order of their importance.

        The classifier is that of the weights where the task has as many classes, and random otherwise.

        Raises:
            DataMissingError: the weights are not on this machine.
        """
        supernet = cls(space, task, pretrained_network(space, task))
        supernet.sort_channels()
        known = PUBLISHED[space.name]
        supernet.origin = {"weights": f"{space.parent.title}, package {known.package}", "licence": known.licence}
        return supernet

    def largest(self) -> Arch:
        return self.space.parent_arch(max(self.space.resolutions))

    def smallest(self) -> Arch:
        decisions = self.space.layout.decisions
        options = [decision.choice.options for decision in decisions]
        return arch_of(self.space, [row.index(min(row)) for row in options])

    def classifier(self) -> nn.Module:
        return self.head.classify

    def plan(self, arch: Arch) -> list[BlockPlan]:
        """The blocks of an arch."""
        options = self.space.options_of(self.space.arrays([arch])[0][0])
        plans, first = [], 0
        for planned, stage in zip(self.space.layout.stages, self.space.parent.stages, strict=True):
            for number in range(int(value_of(planned.depth, options))):
                own = planned.blocks[number]
                plans.append(
                    BlockPlan(
                        first + number,
                        int(value_of(own["kernel"], options)),
                        int(value_of(own["expansion"], options)),
                    )
                )
            first += stage.depth
        return plans

    def sort_channels(self) -> None:
        """Orders the inner channels of all blocks by importance; the function stays the same."""
        for block in self.blocks:
            cast(ElasticBlock, block).sort_channels()

    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        side = self.space.resolution(arch)
        if tuple(x.shape[2:]) != (side, side):
            x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
        conv = conv_of(self.stem)
        top, bottom = _padding(self.stem, side, conv.kernel_size[0], conv.stride[0])
        x = functional.conv2d(functional.pad(x, (top, bottom, top, bottom)), conv.weight, stride=conv.stride)
        x = _acted(self.stem, _normed(self.stem, x))
        for number, kernel, expansion in self.plan(arch):
            x = self.blocks[number](x, kernel, expansion)
        head = self.head
        x = _acted(head.widen, _normed(head.widen, functional.conv2d(x, conv_of(head.widen).weight)))
        logits: Tensor = head.classify(head.dropout(x.mean((2, 3))))
        return logits

    def inherit(self, arch: Arch, task: Task | None = None) -> nn.Module:
        network = cast(nn.Sequential, self.space.build(arch, task or self.task))
        modules = list(network.children())
        _copy_part(self.stem, modules[1])
        for plan, module in zip(self.plan(arch), modules[2:-1], strict=True):
            cast(ElasticBlock, self.blocks[plan.number]).copy_to(
                cast(InvertedResidual, module), plan.kernel, plan.expansion
            )
        _copy_part(self.head.widen, cast(Head, modules[-1]).widen)
        cast(Head, modules[-1]).classify.load_state_dict(copy.deepcopy(self.head.classify.state_dict()))
        return network.to(next(self.parameters()).device).train(self.training)


def conv_of(part: nn.Module) -> nn.Conv2d:
    """The convolution of a padded one with a norm."""
    modules = list(part.children())
    padded = isinstance(modules[0], SamePad | nn.ZeroPad2d)
    return cast(nn.Conv2d, modules[int(padded)])


def _padding(part: nn.Module, size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side of ``size`` pixels, as the parent's convolution is padded."""
    if stride > 1 and isinstance(next(part.children()), nn.Conv2d):
        return kernel // 2, kernel // 2
    return same_padding(size, kernel, stride)


def _acted(part: nn.Module, x: Tensor) -> Tensor:
    """With the activation that ends the part."""
    result: Tensor = [*part.children()][-1](x)
    return result


def norm_of(part: nn.Module) -> nn.BatchNorm2d:
    """The batch norm after it."""
    return next(module for module in part.children() if isinstance(module, nn.BatchNorm2d))


def _normed(part: nn.Module, x: Tensor) -> Tensor:
    norm, width = norm_of(part), x.shape[1]
    weight, bias = norm.weight[:width], norm.bias[:width]
    if norm.training:
        return functional.batch_norm(x, None, None, weight, bias, True, 0.0, norm.eps)
    mean, var = cast(Tensor, norm.running_mean)[:width], cast(Tensor, norm.running_var)[:width]
    return functional.batch_norm(x, mean, var, weight, bias, False, 0.0, norm.eps)


def _copy_norm(norm: nn.BatchNorm2d, other: nn.BatchNorm2d) -> None:
    width = other.num_features
    other.weight.copy_(norm.weight[:width])
    other.bias.copy_(norm.bias[:width])
    cast(Tensor, other.running_mean).copy_(cast(Tensor, norm.running_mean)[:width])
    cast(Tensor, other.running_var).copy_(cast(Tensor, norm.running_var)[:width])


@torch.no_grad()
def _copy_part(part: nn.Module, other: nn.Module) -> None:
    conv_of(other).weight.copy_(conv_of(part).weight)
    _copy_norm(norm_of(part), norm_of(other))
