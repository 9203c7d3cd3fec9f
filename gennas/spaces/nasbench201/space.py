"""NAS-Bench-201: cells of four nodes with one of five operations on each of the six edges (15,625 archs).

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.spaces.four_node_cell import FourNodeCell, cell_template
from gennas.spaces.nasbench201.notation import OPS, native, others
from gennas.spaces.template import Template
from gennas.tasks.base import image_shape

if TYPE_CHECKING:
    from torch import nn

    from gennas.spaces.stacks.base import Stack, StackLayout
    from gennas.tasks import Task

_KERNEL = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True)
class NasBench201(FourNodeCell):
    """The space ``nasbench201`` with its macro skeleton.

    Skeleton: a 3x3 convolution; three stages of ``cells`` cells with 1, 2 and 4 times ``channels``; a residual block
    of stride 2 between stages; batch norm, ReLU, global average pooling and a linear layer.

    Args:
        channels: width C of the first stage (published: 16).
        cells: cells N per stage (published: 5).
    """

    name: ClassVar[str] = "nasbench201"
    template: ClassVar[Template] = cell_template(OPS)
    size: ClassVar[int | None] = 15_625
    trains_at_once: ClassVar[bool] = True

    channels: int = 16
    cells: int = 5

    def read(self, key: str) -> PartialArch:
        """Parses ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, or another notation of :mod:`.notation`; ``?`` leaves an
        operation undecided.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        return super().read(native(key))

    def notations(self, arch: Arch) -> dict[str, str]:
        """See :func:`.notation.others`."""
        return others(arch.ops[1:-1])

    def canonical(self, arch: Arch) -> Arch:
        """The first arch that computes the same function; there are 5,044 classes among the 15,625 cells.

        See :meth:`gennas.spaces.four_node_cell.FourNodeCell.canonical`. The published count of 6,466 comes from
        comparing strings, which distinguishes sums of zeros and the order of summands, ignores that pooling is linear,
        and identifies two convolutions of the same input. ``tests/spaces/test_nasbench201.py`` reproduces both counts.
        """
        return super().canonical(arch)

    def build(self, arch: Arch, task: Task) -> nn.Module:
        from gennas.spaces.nasbench201.network import NasBench201Network

        return NasBench201Network(
            arch.ops[1:-1],
            self.channels,
            self.cells,
            in_channels=image_shape(task, f"space {self.name!r}")[0],
            classes=task.num_classes,
        )

    def stack(self, networks: Sequence[nn.Module], layout: StackLayout) -> Stack:
        from gennas.spaces.nasbench201.network import NasBench201Network
        from gennas.spaces.nasbench201.stack import NasBench201Stack
        from gennas.spaces.stacks.base import SeparateStack
        from gennas.spaces.stacks.layouts import LAYOUTS

        if layout == "separate":
            return SeparateStack(networks)
        own = [cast(NasBench201Network, network) for network in networks]
        return NasBench201Stack(own, LAYOUTS[layout])

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]]:
        """Parameters and multiply-adds as counted by the tables of NAS-Bench-201 (both in millions).

        Multiply-adds: a convolution's products, two per batch-norm output, one per ReLU output, the window
        size per pooling output (the global pooling's window counted as (height + 1) x (width + 1)), and a
        linear layer's products.
        """
        in_channels, height, width = image_shape(task, f"space {self.name!r}")
        stages = [(self.channels << s, _halved(height, s), _halved(width, s)) for s in range(3)]
        stem, (last, last_height, last_width) = self.channels, stages[-1]

        params = 9 * in_channels * stem + 2 * stem
        macs = (9 * in_channels + 2) * stem * height * width
        for (c_in, h_in, w_in), (c, h, w) in itertools.pairwise(stages):
            params += 9 * c_in * c + 2 * c + 9 * c * c + 2 * c + c_in * c
            macs += (9 * c_in + 2 + 9 * c + 2 + c_in) * c * h * w  # two convolutions with batch norm, the shortcut
            macs += c_in * h_in * w_in + c * h * w + 4 * c_in * h * w  # their ReLUs, the shortcut's pooling
        params += 2 * last + (last + 1) * task.num_classes
        macs += 3 * last * last_height * last_width + last * (last_height + 1) * (last_width + 1)
        macs += last * task.num_classes

        op_params, op_macs = dict.fromkeys(OPS, 0), dict.fromkeys(OPS, 0)
        for c, h, w in stages:
            for op, kernel in _KERNEL.items():
                op_params[op] += self.cells * (kernel**2 * c * c + 2 * c)
                op_macs[op] += self.cells * (kernel**2 * c + 3) * c * h * w
            op_macs["avg_pool_3x3"] += self.cells * 9 * c * h * w
        return {
            "params_m": (params / 1e6, self._per_slot(op_params)),
            "macs_m": (macs / 1e6, self._per_slot(op_macs)),
        }

    def _per_slot(self, op_costs: dict[str, int]) -> np.ndarray:
        row = np.array([op_costs.get(op, 0) for op in self.template.vocabulary]) / 1e6
        return np.where(self.template.allowed, row, 0.0)


def _halved(size: int, times: int) -> int:
    """The side of a feature map after ``times`` convolutions of stride 2, each rounding up."""
    for _ in range(times):
        size = (size + 1) // 2
    return size
