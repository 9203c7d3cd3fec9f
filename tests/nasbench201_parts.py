"""NAS-Bench-201 composed of parts."""
# ruff: noqa: RUF012 - as users write it

from dataclasses import replace

from torch import nn

from gennas.spaces import Cell, PartsSpace, Stage
from gennas.spaces.nasbench201.network import ReluConvBn, ResidualBlock
from gennas.spaces.nasbench201.notation import OPS
from gennas.spaces.nasbench201.space import NasBench201

SHIPPED = NasBench201()


class NasBench201Again(PartsSpace):
    name = "nasbench201_again"
    #: The benchmark counts these beside products.
    counted_beside = {
        nn.BatchNorm2d: lambda layer, x, y: 2 * y.numel(),
        nn.ReLU: lambda layer, x, y: y.numel(),
        nn.AvgPool2d: lambda layer, x, y: layer.kernel_size**2 * y.numel(),
        nn.AdaptiveAvgPool2d: lambda layer, x, y: (x.shape[2] + 1) * (x.shape[3] + 1) * y.numel(),
    }

    def key(self, ops, edges):
        return SHIPPED.key(ops, edges)

    def read(self, key):
        return replace(SHIPPED.read(key), space=self.name)

    def canonical(self, arch):
        return self.arch(SHIPPED.canonical(arch).ops)

    def body(self):
        cell = Cell("cell", 3, OPS, absent="none")
        for number, channels in enumerate((16, 32, 64)):
            if number:
                yield Stage(channels, 2, block=lambda c_in, c_out, stride: ResidualBlock(c_in, c_out))
            yield Stage(channels, depth=5, block=cell)

    def stem(self, task):
        return nn.Sequential(nn.Conv2d(task.channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)), 16

    def operation(self, operation, channels):
        if operation.startswith("nor_conv"):
            return ReluConvBn(channels, channels, int(operation[-1]))
        return nn.Identity() if operation == "skip_connect" else nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def head(self, channels, task):
        pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, task.classes))
        return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), *pooling)
