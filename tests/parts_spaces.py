"""Spaces composed of parts, as users write them: a chain, widths, joint words, and cells."""

from dataclasses import dataclass

from torch import nn

from gennas.spaces import Cell, Choice, PartsSpace, Resize, Stage


class MBConv(nn.Module):
    """An inverted bottleneck."""

    def __init__(self, channels_in, channels, stride, kernel, expansion, activation=nn.ReLU6):
        super().__init__()
        hidden = channels_in * expansion
        self.is_residual = stride == 1 and channels_in == channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels_in, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return x + self.layers(x) if self.is_residual else self.layers(x)


def conv(channels_in, channels, stride, kernel=3):
    """A convolution with batch norm."""
    convolution = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())


class Small(PartsSpace):
    """Stem and head of all spaces here."""

    def stem(self, task):
        return conv(task.channels, 4, 1), 4

    def head(self, channels, task):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, task.classes))


class DepthChain(Small):
    """Stages of variable depth, one of which may be absent; a kernel shared by all, an expansion per block."""

    name = "depth_chain"

    def body(self):
        kernel, expansion = Choice("kernel", (3, 5)), Choice("expansion", (1, 2))
        yield Stage(4, depth=Choice("depth", (1, 2)), kernel=kernel, expansion=expansion.per_block())
        yield Stage(8, 2, depth=Choice("depth", (0, 1, 3)), kernel=kernel, expansion=expansion.per_block())

    def block(self, channels_in, channels, stride, kernel, expansion):
        return MBConv(channels_in, channels, stride, kernel, expansion)


class Widths(Small):
    """Eight layers whose widths are numbers."""

    name = "widths"

    def body(self):
        yield Stage(Choice("width", (4, 6, 8)).per_block(), 2, depth=8)

    def block(self, channels_in, channels, stride):
        return conv(channels_in, channels, stride)


class Joint(Small):
    """A resolution, a width and a kernel per stage, and words per block."""

    name = "joint"

    def body(self):
        yield Resize(Choice("resolution", (8, 16)))
        width, kernel = Choice("width", (4, 8)).per_stage(), Choice("kernel", (3, 5)).per_stage()
        activation, kind = (
            Choice("activation", ("relu", "silu")).per_block(),
            Choice("kind", ("plain", "skip")).per_block(),
        )
        for stride in (1, 2):
            yield Stage(width, stride, depth=Choice("depth", (1, 2)), kernel=kernel, activation=activation, kind=kind)

    def block(self, channels_in, channels, stride, kernel, activation, kind):
        expansion = {"plain": 1, "skip": 2}[kind]
        return MBConv(channels_in, channels, stride, kernel, expansion, {"relu": nn.ReLU, "silu": nn.SiLU}[activation])


@dataclass(frozen=True)
class Ops(Small):
    """Three operations on each of eight layers, with a setting of the network."""

    name = "ops"
    channels: int = 4

    def body(self):
        yield Stage(self.channels, depth=8, op=Choice("op", ("conv", "pool", "skip")).per_block())

    def block(self, channels_in, channels, stride, op):
        if op == "conv":
            return conv(channels_in, channels, stride)
        if channels_in != channels:
            return conv(channels_in, channels, stride, 1)
        return nn.AvgPool2d(3, stride, 1) if op == "pool" else nn.Identity()


OPERATIONS = ("none", "skip", "conv1", "conv3")


class TwoCells(Small):
    """A normal and a reduction cell, two inputs per node, all nodes concatenated."""

    name = "two_cells"

    def body(self):
        normal, reduction = (
            Cell(name, 3, OPERATIONS, absent="none", inputs=2, output="concat") for name in ("normal", "reduction")
        )
        yield Stage(4, depth=2, block=normal)
        yield Stage(8, 2, block=reduction)
        yield Stage(8, block=normal)

    def operation(self, operation, channels):
        return nn.Identity() if operation == "skip" else conv(channels, channels, 1, int(operation[-1]))


class Cells(Small):
    """A dense cell that may be absent, between two blocks."""

    name = "cells"

    def body(self):
        yield Stage(4, kernel=Choice("kernel", (1, 3)))
        yield Stage(4, depth=Choice("depth", (0, 1, 2)), block=Cell("cell", 2, OPERATIONS, absent="none"))
        yield Stage(8, 2)

    def block(self, channels_in, channels, stride, kernel=3):
        return conv(channels_in, channels, stride, kernel)

    def operation(self, operation, channels):
        return nn.Identity() if operation == "skip" else conv(channels, channels, 1, int(operation[-1]))


class Rising(Widths):
    """Widths that never fall: a rule of its own."""

    name = "rising_widths"

    def rule_problems(self, arch):
        widths = [int(op[1:]) for op in arch.ops[1:-1]]
        return ["a width falls"] if widths != sorted(widths) else []


SPACES = (DepthChain, Widths, Joint, Ops, TwoCells, Cells)
