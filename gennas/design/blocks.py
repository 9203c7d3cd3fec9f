"""Numbers that describe the sub-networks of a parent: choices as columns, and the work of their blocks."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from gennas.arch import Arch
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.parts.layout import INACTIVE, Ref, Source
from gennas.spaces.parts.network import value_of


class Blocks:
    """The blocks of many archs at once.

    Args:
        space: of the archs.
    """

    def __init__(self, space: ElasticSpace) -> None:
        self.space, self.layout = space, space.layout

    @cached_property
    def _options(self) -> np.ndarray:
        """``(D, vocabulary)`` the option that a word stands for in a decision's slot; 0 where it is inactive."""
        vocabulary = self.space.template.vocabulary
        table = np.zeros((len(self.layout.decisions), len(vocabulary)))
        for row, decision in enumerate(self.layout.decisions):
            for token, option in zip(decision.tokens, decision.choice.options, strict=True):
                table[row, vocabulary.index(token)] = float(option)
        return table

    def values(self, ops: np.ndarray) -> np.ndarray:
        """``(N, D)`` options of all decisions, of ``(N, n)`` indices into the vocabulary; 0 where inactive."""
        return self._options[np.arange(self._options.shape[0]), ops[:, 1:-1]]

    def shares(self, ops: np.ndarray) -> np.ndarray:
        """``(N, D)`` the same as shares of the parent's; the resolution as its logarithm, in units of a doubling."""
        values = self.values(ops)
        most = self._options.max(1)
        shares = values / most
        shares[:, 0] = np.log2(values[:, 0] / most[0])
        return shares

    def work(self, ops: np.ndarray) -> np.ndarray:
        """``(N, 7)`` what takes time: 1, multiply-adds of 1x1 convolutions, of 3x3 filters and of larger ones, values
        written by layers, weights (all in millions), and the number of blocks.

        Args:
            ops: ``(N, n)`` indices into the vocabulary.
        """
        values, parent, count = self.values(ops), self.space.parent, len(ops)
        found = np.zeros((count, 7))
        found[:, 0] = 1
        side = np.ceil(self._of(self.layout.size, values) / 2)
        found[:, 3] += 27 * parent.stem * side**2
        found[:, 4] += parent.stem * side**2
        channels = parent.stem
        for planned, stage in zip(self.layout.stages, parent.stages, strict=True):
            depth = self._of(planned.depth, values)
            for number, block in enumerate(planned.blocks):
                present = (number < depth).astype(float)
                kernel, expansion = self._of(block["kernel"], values), self._of(block["expansion"], values)
                before = side
                if not number:
                    side = np.ceil(side / stage.stride)
                hidden = channels * expansion
                widening = channels * hidden * (expansion > 1)
                filters = kernel**2 * hidden * side**2
                found[:, 1] += present * (widening * before**2 + hidden * stage.channels * side**2)
                found[:, 2] += present * filters * (kernel == 3)
                found[:, 3] += present * filters * (kernel > 3)
                found[:, 4] += present * (hidden * before**2 * (expansion > 1) + (hidden + stage.channels) * side**2)
                found[:, 5] += present * (widening + kernel**2 * hidden + hidden * stage.channels)
                found[:, 6] += present
                channels = stage.channels
        found[:, 1] += channels * parent.head * side**2
        found[:, 4] += parent.head * side**2
        found[:, 5] += channels * parent.head
        found[:, 1:6] /= 1e6
        return found

    def smallest(self) -> Arch:
        """The arch with the smallest option of every choice."""
        options = {number: min(decision.choice.options) for number, decision in enumerate(self.layout.decisions)}
        ops = []
        for number, decision in enumerate(self.layout.decisions):
            is_active = any(int(value_of(depth, options)) > before for depth, before in decision.uses)
            option = decision.choice.options.index(options[number])
            ops.append(decision.tokens[option] if is_active else INACTIVE)
        vocabulary = self.space.template.vocabulary
        return self.space.arch((vocabulary[0], *ops, vocabulary[-1]))

    def at(self, arch: Arch, side: int) -> Arch:
        """The arch at another resolution."""
        decision = self.layout.decisions[0]
        ops = list(arch.ops)
        ops[1] = decision.tokens[decision.choice.options.index(side)]
        return self.space.arch(ops, arch.edges)

    def _of(self, source: Source | None, values: np.ndarray) -> np.ndarray:
        if isinstance(source, Ref):
            return values[:, source.decision]
        return np.full(len(values), float(source))  # type: ignore[arg-type]  # numbers only
