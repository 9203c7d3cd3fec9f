"""Patterns: the archs of a space as a disjoint union of products, which can be counted, sampled and enumerated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from math import prod

import numpy as np

from gennas.errors import InvalidInputError
from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.layout import INACTIVE, Layout, Ref

#: A group of decisions that depend on each other has at most so many patterns.
MOST_PATTERNS = 10_000
#: Operations that are held against patterns at once: a byte each.
AT_ONCE = 10_000_000


class Group:
    """Slots that depend on each other, and the patterns of operations that they may have.

    A pattern allows every slot some operations, whatever the other slots have; every arch fits exactly one pattern.

    Args:
        slots: ``s`` slots of the template.
        masks: ``(p, s, k)`` boolean, the operations that each pattern allows.
    """

    def __init__(self, slots: Sequence[int], masks: np.ndarray) -> None:
        self.slots, self.masks = np.array(slots), masks
        self.options = masks.sum(2)  # (p, s)
        self.counts = [prod(map(int, row)) for row in self.options]
        self.size = sum(self.counts)
        self._log_options = np.log(self.options)

    def is_free(self, allowed: np.ndarray) -> bool:
        """Whether a template that allows ``(n, k)`` operations allows nothing else."""
        return len(self.masks) == 1 and np.array_equal(self.masks[0], allowed[self.slots])

    def posterior(self, ops: np.ndarray) -> np.ndarray:
        """``(b, p)`` probabilities of the patterns, given the decided ones of ``(b, n)`` operations; -1 is undecided.

        Under the uniform distribution over archs, the weight of a pattern is its number of archs that agree with what
        is decided. All are 0 where no arch agrees.
        """
        own = ops[:, self.slots]  # (b, s)
        decided = own >= 0
        fits = self._fits(own) | ~decided[:, None]
        log_weights = (~decided).astype(float) @ self._log_options.T  # (b, p)
        log_weights = np.where(fits.all(2), log_weights, -np.inf)
        most = log_weights.max(1, keepdims=True)
        weights = np.exp(log_weights - np.where(np.isfinite(most), most, 0))
        return weights / np.maximum(weights.sum(1, keepdims=True), 1e-300)

    def _fits(self, own: np.ndarray) -> np.ndarray:
        """``(b, p, s)`` whether a pattern allows the operations ``(b, s)``."""
        return self.masks[:, np.arange(own.shape[1]), own].transpose(1, 0, 2)

    def probabilities(self, ops: np.ndarray) -> np.ndarray:
        """``(b, s, k)`` probability of every operation of the slots, each given what is decided of the others."""
        share = self.masks / self.options[:, :, None]
        return np.einsum("bp,psk->bsk", self.posterior(ops), share)

    def keeps(self, ops: np.ndarray) -> np.ndarray:
        """``(b,)`` whether decided operations fit a pattern."""
        own = ops[:, self.slots]
        # Splitting takes longer than looking at a single arch.
        pieces = 1 + own.size * len(self.masks) // AT_ONCE
        parts = np.array_split(own, pieces) if pieces > 1 else [own]
        return np.concatenate([np.asarray(self._fits(part).all(axis=2)).any(axis=1) for part in parts])

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """``(s,)`` operations, uniform over all that fit a pattern."""
        pattern = np.searchsorted(self._shares, rng.random(), side="right")
        place = (rng.random(len(self.slots)) * self.options[pattern]).astype(int)
        return self._choices[pattern, np.arange(len(self.slots)), place]

    @cached_property
    def _shares(self) -> np.ndarray:
        """``(p - 1,)`` cumulative shares of the archs that the patterns have, without the last, which is 1."""
        return np.cumsum([count / self.size for count in self.counts])[:-1]

    @cached_property
    def _choices(self) -> np.ndarray:
        """``(p, s, most)`` the operations that patterns allow, in their order; beyond their number meaningless."""
        return np.argsort(~self.masks, axis=2, kind="stable")[:, :, : self.options.max()]

    def all(self) -> np.ndarray:
        """``(size, s)`` operations, pattern by pattern."""
        rows = [
            np.array(list(itertools.product(*(np.flatnonzero(row) for row in pattern))), dtype=np.int64)
            for pattern in self.masks
        ]
        return np.concatenate(rows)

    def nearest(self, own: np.ndarray, pinned: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The patterns with which the fewest of ``(s,)`` operations must change.

        Args:
            own: decided operations.
            pinned: ``(s,)`` boolean, which of them must not.

        Returns:
            For each such pattern, the places that must change, and ``(s, k)`` what it allows.
        """
        fits = self._fits(own[None])[0]  # (p, s)
        agreeing = np.where(fits[:, pinned].all(1), fits.sum(1), -1)
        best = np.flatnonzero(agreeing == max(agreeing.max(), 0))
        return [(np.flatnonzero(~fits[pattern]), self.masks[pattern]) for pattern in best]


class Patterns:
    """The archs of a layout, as independent groups of slots.

    Args:
        layout: whose decisions may be inactive, or of whose cells nodes have a number of inputs.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.vocabulary = {word: i for i, word in enumerate(layout.template.vocabulary)}
        self.groups = [self._group(decisions) for decisions in _dependent(layout)]
        #: The groups that the template does not describe.
        self.bound = [group for group in self.groups if not group.is_free(layout.template.allowed)]

    @cached_property
    def size(self) -> int:
        """Number of archs."""
        return prod(group.size for group in self.groups)

    @property
    def has_rules(self) -> bool:
        """Whether the template allows what is no arch."""
        return bool(self.bound)

    def equals(self, other: Patterns) -> bool:
        """Whether both have the same groups with the same patterns."""
        return len(self.groups) == len(other.groups) and all(
            np.array_equal(own.slots, theirs.slots) and np.array_equal(own.masks, theirs.masks)
            for own, theirs in zip(self.groups, other.groups, strict=True)
        )

    def _group(self, decisions: list[int]) -> Group:
        """The patterns of some decisions: depths that say what is active, and inputs that nodes choose among."""
        layout = self.layout
        depths = [d for d in decisions if layout.decisions[d].is_depth and len(decisions) > 1]
        nodes: dict[tuple[int, int], list[int]] = {}
        for decision in decisions:
            cell, edge = layout.decisions[decision].cell, layout.decisions[decision].edge
            if cell is not None and edge is not None and cell.inputs is not None:
                nodes.setdefault((id(cell), edge[1]), []).append(decision)
        options = [layout.decisions[depth].choice.options for depth in depths]
        inputs = [self._inputs(edges) for edges in nodes.values()]
        if prod(map(len, [*options, *inputs])) > MOST_PATTERNS:
            raise InvalidInputError(
                f"{len(depths)} depths and {len(nodes)} nodes depend on each other in more than {MOST_PATTERNS:,} "
                "ways; share fewer choices among stages."
            )
        masks = []
        for values in itertools.product(*options):
            depth_of = dict(zip(depths, values, strict=True))
            active = [not layout.is_conditional(d) or layout.is_active(d, depth_of) for d in decisions]
            # Nodes of a cell that is absent have nothing to choose.
            there = [active[decisions.index(edges[0])] for edges in nodes.values()]
            choosing = [sets for sets, is_there in zip(inputs, there, strict=True) if is_there]
            for chosen in itertools.product(*choosing):
                used = set(itertools.chain(*chosen))
                masks.append([self._mask(d, on, depth_of, used) for d, on in zip(decisions, active, strict=True)])
        return Group([decision + 1 for decision in decisions], np.array(masks))

    def _inputs(self, edges: list[int]) -> list[tuple[int, ...]]:
        """The sets of edges that a node may use."""
        cell = self.layout.decisions[edges[0]].cell
        assert cell is not None
        assert cell.inputs is not None
        return list(itertools.combinations(edges, min(cell.inputs, len(edges))))

    def _mask(self, decision: int, active: bool, depth_of: dict[int, Option], used: set[int]) -> np.ndarray:
        own = self.layout.decisions[decision]
        mask = np.zeros(len(self.vocabulary), bool)
        if not active:
            words: Sequence[str] = (INACTIVE,)
        elif decision in depth_of:
            words = (own.tokens[own.choice.options.index(depth_of[decision])],)
        elif own.cell is not None and own.cell.inputs is not None:
            words = [t for t in own.tokens if (t != own.cell.absent) == (decision in used)]
        else:
            words = own.tokens
        mask[[self.vocabulary[word] for word in words]] = True
        return mask

    def shares(self, slots: Sequence[int]) -> np.ndarray:
        """The share of all archs that have each combination of the operations of ``r`` slots.

        ``r`` axes, each of the operations that the template allows the slot, in the order of the vocabulary.
        """
        found, axes = np.ones([1] * len(slots)), {slot: axis for axis, slot in enumerate(slots)}
        for group in self.groups:
            own = [place for place, slot in enumerate(group.slots.tolist()) if slot in axes]
            if own:
                found = found * sum(
                    count / group.size * self._outer(pattern, own, group, axes)
                    for count, pattern in zip(group.counts, group.masks, strict=True)
                )
        return found

    def _outer(self, pattern: np.ndarray, places: list[int], group: Group, axes: dict[int, int]) -> np.ndarray:
        """The shares within a pattern, with an axis for every slot."""
        found = np.ones([1] * len(axes))
        for place in places:
            shape, slot = [1] * len(axes), int(group.slots[place])
            shape[axes[slot]] = -1
            own = pattern[place, self.layout.template.allowed[slot]]
            found = found * (own / own.sum()).reshape(shape)
        return found

    def completed(self, slots: Sequence[int], ops: np.ndarray) -> np.ndarray:
        """``(n,)`` an arch that has the operations ``(r,)`` of these slots; always the same one.

        Raises:
            ValueError: no arch has them.
        """
        row = np.full(len(self.layout.template.slots), -1)
        row[list(slots)] = ops
        found = self._common.copy()
        for group in self.groups:
            own = row[group.slots]
            if (own < 0).all():
                continue
            posterior = group.posterior(row[None])[0]
            if posterior.max() == 0:
                raise ValueError(f"no arch has operations {list(ops)} in slots {list(slots)}")
            found[group.slots] = np.where(own < 0, group.masks[posterior.argmax()].argmax(1), own)
        return found

    @cached_property
    def _common(self) -> np.ndarray:
        """``(n,)`` an arch of the pattern of every group that most archs have."""
        row = np.zeros(len(self.layout.template.slots), dtype=np.int64)
        row[-1] = len(self.vocabulary) - 1
        for group in self.groups:
            row[group.slots] = group.masks[int(np.argmax(group.counts))].argmax(1)
        return row

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """``(n,)`` operations of an arch, uniform over all archs."""
        ops = np.zeros(len(self.layout.template.slots), dtype=np.int64)
        ops[-1] = len(self.vocabulary) - 1
        for group in self.groups:
            ops[group.slots] = group.draw(rng)
        return ops

    def all(self) -> np.ndarray:
        """``(size, n)`` operations of all archs, in a fixed order: the last slots change fastest."""
        ops = np.zeros((self.size, len(self.layout.template.slots)), dtype=np.int64)
        ops[:, -1] = len(self.vocabulary) - 1
        later = self.size
        rows = np.arange(self.size)
        for group in self.groups:
            later //= group.size
            ops[:, group.slots] = group.all()[rows // later % group.size]
        return ops

    def keeps(self, ops: np.ndarray) -> np.ndarray:
        """``(b,)`` which of ``(b, n)`` operations, allowed by the template, are archs."""
        keeps = np.ones(len(ops), bool)
        for group in self.bound:
            keeps &= group.keeps(ops)
        return keeps

    def settled(self, ops: np.ndarray, slot: int | None) -> np.ndarray:
        """``(c, n)`` archs nearest to ``(b, n)`` operations; see :meth:`gennas.spaces.Space.settled`.

        A choice that becomes active takes the operation of the same choice in the block before.
        """
        for group in self.bound:
            if slot is not None and slot not in group.slots:
                continue
            keeps = group.keeps(ops)
            own = [self._settled(group, row, group.slots == slot) for row in ops[~keeps]]
            ops = np.concatenate([ops[keeps], *own])
        return ops

    def _settled(self, group: Group, row: np.ndarray, pinned: np.ndarray) -> np.ndarray:
        found = []
        for changing, allowed in group.nearest(row[group.slots], pinned):
            changed = row.copy()
            for place in changing:
                changed[group.slots[place]] = self._like_before(changed, int(group.slots[place]), allowed[place])
            found.append(changed)
        return np.array(found, dtype=np.int64).reshape(-1, len(row))

    def _like_before(self, row: np.ndarray, slot: int, allowed: np.ndarray) -> int:
        """The operation of the last slot before with the same choice, if it is allowed; else the first that is."""
        name = self.layout.decisions[slot - 1].choice.name
        for earlier in range(slot - 1, 0, -1):
            if self.layout.decisions[earlier - 1].choice.name == name and allowed[row[earlier]]:
                return int(row[earlier])
        return int(allowed.argmax())

    def probabilities(self, ops: np.ndarray) -> np.ndarray:
        """``(b, n, k)`` exact probability of every operation, given the decided ones of ``(b, n)``; -1 is undecided.

        Under the uniform distribution over archs. All are 0 for slots whose group no arch agrees with.
        """
        found = np.repeat(self._undecided[None], len(ops), axis=0)
        for group in self.bound:
            found[:, group.slots] = group.probabilities(ops)
        return found

    @cached_property
    def _undecided(self) -> np.ndarray:
        """``(n, k)`` the probabilities where nothing is decided, which those of free slots always are."""
        found = np.zeros((len(self.layout.template.slots), len(self.vocabulary)))
        found[0, 0] = found[-1, -1] = 1
        for group in self.groups:
            found[group.slots] = group.probabilities(np.full((1, len(found)), -1))[0]
        return found


def _dependent(layout: Layout) -> list[list[int]]:
    """Decisions in groups, within which one may depend on another; in the order of their first."""
    count = len(layout.decisions)
    group_of = list(range(count))

    def join(first: int, second: int) -> None:
        old, new = sorted((group_of[first], group_of[second]))
        group_of[:] = [old if group == new else group for group in group_of]

    nodes: dict[tuple[int, int], int] = {}
    for number, decision in enumerate(layout.decisions):
        if layout.is_conditional(number):
            for depth, _ in decision.uses:
                assert isinstance(depth, Ref)
                join(number, depth.decision)
        if decision.cell is not None and decision.cell.inputs is not None and decision.edge is not None:
            join(nodes.setdefault((id(decision.cell), decision.edge[1]), number), number)
    return [[d for d in range(count) if group_of[d] == group] for group in sorted(set(group_of))]
