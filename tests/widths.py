"""A space of a user's own, in one file: costs are products of neighbours' widths, and no sums over slots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
from torch import nn

from gennas import Space
from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError
from gennas.spaces import Template
from gennas.spaces.template import FIXED

WIDTHS = ("4", "8", "16", "32")


class Widths(Space):
    """Five 3x3 convolutions in a row, each of one of four widths."""

    name = "widths"
    template = Template(
        ("in", *(f"layer{i}" for i in range(5)), "out"),
        ("input", *WIDTHS, "output"),
        np.array([[1, 0, 0, 0, 0, 0], *[[0, 1, 1, 1, 1, 0]] * 5, [0, 0, 0, 0, 0, 1]], dtype=bool),
        FIXED * np.eye(7, k=1, dtype=np.int8),
    )
    size = 4**5

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return "-".join(ops[1:-1])

    def read(self, key: str) -> PartialArch:
        words = key.split("-")
        if len(words) != 5 or not {*words} <= {*WIDTHS, "?"}:
            raise InvalidArchError(f"{key!r} is no chain of widths; expected five of {', '.join(WIDTHS)}: 4-8-16-8-4.")
        ops = ("input", *(None if word == "?" else word for word in words), "output")
        return PartialArch(self.name, ops, self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        return arch

    def probabilities(self, ops: np.ndarray) -> None:
        """Not told, as of spaces whose archs nobody can count: a generator has to be trained."""

    def enumerate(self) -> Iterator[Arch]:
        return (self.arch(("input", *words, "output")) for words in product(WIDTHS, repeat=5))

    def costs(self, arch: Arch, task: Any) -> dict[str, float]:
        planes, height, width = task.input_shape
        widths = [planes, *map(int, arch.ops[1:-1])]
        convolutions = 9 * sum(a * b for a, b in pairwise(widths))
        head = task.num_classes * widths[-1]
        return {
            "params_m": (convolutions + sum(widths[1:]) + head + task.num_classes) / 1e6,
            "macs_m": (convolutions * height * width + head) / 1e6,
        }

    def build(self, arch: Arch, task: Any) -> nn.Module:
        widths = [task.input_shape[0], *map(int, arch.ops[1:-1])]
        body = [part for a, b in pairwise(widths) for part in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]
        return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], task.num_classes))
