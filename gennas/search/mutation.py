"""Random archs, and archs that differ from given ones in one decision: what most search methods draw from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice

import numpy as np

from gennas.arch import Arch
from gennas.problem import Problem
from gennas.search.taken import Taken
from gennas.spaces import Space
from gennas.spaces.costs import all_costs
from gennas.spaces.subset import Subset
from gennas.spaces.template import FIXED, FORBIDDEN, FREE

#: Draws in a row that bring nothing new, after which a space that can be enumerated is; of another ten times as many.
MISSES = 1000
#: Whether an arch may be proposed at all.
Feasibility = Callable[[Arch], bool]
#: ``(N, n)`` operation indices and ``(N, n, n)`` present edges.
_Graphs = tuple[np.ndarray, np.ndarray]


def cost_feasibility(problem: Problem) -> Feasibility:
    """Whether an arch is among those that may be proposed, and keeps the problem's bounds on costs, which are known
    before any evaluation."""
    bounds, among = problem.bounds_on_costs, problem.among

    def is_feasible(arch: Arch) -> bool:
        if among is not None and arch not in among:
            return False
        costs = all_costs(problem.space, arch, problem.task) if bounds else {}
        return all(bound.holds(costs[bound.metric.name]) for bound in bounds)

    return is_feasible if bounds or among is not None else lambda arch: True


def random_archs(
    space: Space,
    count: int,
    rng: np.random.Generator,
    without: Taken | Collection[str] = (),
    is_feasible: Feasibility | None = None,
    among: Subset | None = None,
) -> list[Arch]:
    """Distinct archs as :meth:`gennas.spaces.Space.sample` draws them, under the space's own numbering.

    Args:
        space: of the archs.
        count: how many; fewer only where an enumerable space has no more, or where 10,000 draws in a row brought
            nothing new in another.
        rng: all randomness.
        without: archs that are not wanted, or their keys; see :class:`gennas.search.taken.Taken`.
        is_feasible: further says which archs are wanted.
        among: the only archs that may be drawn, each as likely as any other; None for all of the space.
    """
    taken = Taken.of(without).beside(())
    found: list[Arch] = []
    if among is not None:
        drawn = (among.archs[row] for row in rng.permutation(len(among)))
        return list(islice(taken.untaken(drawn, is_feasible), count))
    # Where little is left, drawing would take for ever.
    few = space.size is not None and 2 * (len(taken) + count) > space.size
    most = MISSES if space.size is not None else 10 * MISSES
    misses = most if few else 0
    while len(found) < count and misses < most:
        arch = space.canonicalised([space.sample(rng)])[0]
        if arch in taken or (is_feasible is not None and not is_feasible(arch)):
            misses += 1
            continue
        misses = 0
        taken.add(arch)
        found.append(arch)
    if len(found) < count and space.size is not None:
        # What is feasible is quicker to tell than what an arch computes.
        left = list(taken.untaken(arch for arch in space.enumerate() if is_feasible is None or is_feasible(arch)))
        found += [left[row] for row in rng.permutation(len(left))[: count - len(found)]]
    return found


def neighbours(space: Space, arch: Arch, among: Subset | None = None) -> list[Arch]:
    """All other archs one changed decision away, each once, in a fixed order; see :func:`mutated`.

    Args:
        space: of the arch.
        arch: whose neighbours.
        among: the only archs that may be neighbours; where none of them is one decision away, the nearest are.
    """
    ops, edges = space.arrays([arch])
    found = {other.key: other for other in _archs(space, *_changed(space, ops[0], edges[0]))}
    own = space.canonicalised([arch])[0].key
    found.pop(own, None)
    if among is None:
        return list(found.values())
    return [other for other in found.values() if other in among] or among.nearest(arch, {own})


def mutated(space: Space, archs: Sequence[Arch], rng: np.random.Generator, among: Subset | None = None) -> list[Arch]:
    """Every arch with one decision changed, under the space's own numbering.

    A decision is the operation of a slot or whether a free edge is present. All changes that keep the rules of the
    space are equally likely; what a rule binds to the decision changes with it (:meth:`Space.settled`). Where slots may
    be absent and edges are free, a slot takes its edges along when it goes, and comes with one edge in and one edge
    out: vertices of NAS-Bench-101 cannot come and go otherwise.

    An arch can come out as it went in: where nothing can be changed, or where the change makes no difference to what
    the space's numbering tells apart.

    Args:
        space: of the archs.
        archs: what is mutated.
        rng: all randomness.
        among: the only archs that may come out: in place of any other, one of those nearest to it.
    """
    ops, edges = space.arrays(archs)
    for row in range(len(archs)):
        changed_ops, changed_edges = _changed(space, ops[row], edges[row])
        if len(changed_ops):
            chosen = rng.integers(len(changed_ops))
            ops[row], edges[row] = changed_ops[chosen], changed_edges[chosen]
    found = _archs(space, ops, edges)
    if among is None:
        return found
    parents = space.canonicalised(archs)
    return [_nearest(among, other, parent, rng) for other, parent in zip(found, parents, strict=True)]


def _nearest(among: Subset, arch: Arch, parent: Arch, rng: np.random.Generator) -> Arch:
    """The arch, or in place of one that may not be proposed one of the nearest; the parent where there is no other."""
    if arch in among:
        return arch
    near = among.nearest(arch, {parent.key})
    return near[rng.integers(len(near))] if near else parent


def fresh_mutant(
    space: Space,
    arch: Arch,
    rng: np.random.Generator,
    without: Taken | Collection[str],
    is_feasible: Feasibility,
    tries: int = 30,
    among: Subset | None = None,
) -> Arch | None:
    """A mutant that is new: what is not is mutated further, so that exhausted surroundings are left.

    Args:
        space: of the arch.
        arch: what is mutated.
        rng: all randomness.
        without: archs that are not new, or their keys.
        is_feasible: whether an arch may be proposed.
        tries: after how many mutations to give up.
        among: see :func:`mutated`.
    """
    taken = Taken.of(without)
    for attempt in range(tries):
        (child,) = mutated(space, [arch], rng, among)
        if child not in taken and is_feasible(child):
            return child
        # Every other try goes one step further away, the others look around again.
        if attempt % 2:
            arch = child
    return None


def crossed(space: Space, mother: Arch, father: Arch, rng: np.random.Generator, tries: int = 10) -> Arch | None:
    """A child that has every decision of either parent, but for those that rules bind; None if no try was valid."""
    ops, edges = space.arrays([mother, father])
    for _ in range(tries):
        child_ops = np.where(rng.random(ops[0].shape) < 0.5, *ops)[None]
        child_edges = np.where(rng.random(edges[0].shape) < 0.5, *edges)[None]
        child_ops, child_edges = space.settled(child_ops, child_edges, None)
        if space.keeps_rules(child_ops, child_edges)[:1].any():
            return _archs(space, child_ops[:1], child_edges[:1])[0]
    return None


def _archs(space: Space, ops: np.ndarray, edges: np.ndarray) -> list[Arch]:
    ops, edges = space.canonical_form(ops, edges)
    words = np.array(space.template.vocabulary)[ops].tolist()
    return [
        space.arch(row, [(int(i), int(j)) for i, j in np.argwhere(present)])
        for row, present in zip(words, edges, strict=True)
    ]


def _changed(space: Space, ops: np.ndarray, edges: np.ndarray) -> _Graphs:
    """All valid graphs one changed decision away from one of ``(n,)`` operations and ``(n, n)`` present edges."""
    template, found = space.template, []
    absent = None if space.absent is None else template.vocabulary.index(space.absent)
    loose = (template.edges == FREE).any(0) | (template.edges == FREE).any(1)
    for slot in template.free_slots:
        # What comes and goes with its edges is changed in a way of its own.
        comes = absent if absent is not None and loose[slot] and template.allowed[slot, absent] else None
        choices = [v for v in np.flatnonzero(template.allowed[slot]).tolist() if v not in (ops[slot], comes)]
        if comes is None or ops[slot] != comes:
            found.append(space.settled(*_set_ops(ops, edges, slot, choices), slot))
        if comes is not None:
            # The slots with the same choices, among which a graph may be shifted.
            alike = np.flatnonzero((template.allowed == template.allowed[slot]).all(1)).tolist()
            if ops[slot] != comes:
                bound = edges & (template.edges == FIXED)
                found.append(_removed(ops, edges, bound, slot, comes, alike[-1]))
            elif slot == next(other for other in alike if ops[other] == comes):
                found.append(_inserted(ops, edges, slot, choices, comes, alike))
    free = np.array(template.free_edges, dtype=int).reshape(-1, 2)
    flipped = np.repeat(edges[None], len(free), axis=0)
    flipped[np.arange(len(free)), free[:, 0], free[:, 1]] ^= True
    found.append((np.repeat(ops[None], len(free), axis=0), flipped))
    all_ops, all_edges = (np.concatenate(parts) for parts in zip(*found, strict=True))
    keeps = template.allowed[np.arange(len(ops)), all_ops].all(1)
    keeps &= ~(all_edges & (template.edges == FORBIDDEN)).any((1, 2))
    keeps &= (all_edges | (template.edges != FIXED)).all((1, 2))
    all_ops, all_edges = all_ops[keeps], all_edges[keeps]
    keeps = space.keeps_rules(all_ops, all_edges)
    return all_ops[keeps], all_edges[keeps]


def _set_ops(ops: np.ndarray, edges: np.ndarray, slot: int, choices: Sequence[int]) -> _Graphs:
    changed = np.repeat(ops[None], len(choices), axis=0)
    changed[:, slot] = choices
    return changed, np.repeat(edges[None], len(choices), axis=0)


def _moved(ops: np.ndarray, edges: np.ndarray, slot: int, to: int) -> _Graphs:
    """The same graph with a slot at another place, those in between shifted by one."""
    order = [other for other in range(len(ops)) if other != slot]
    order.insert(to, slot)
    return ops[order], edges[np.ix_(order, order)]


def _removed(ops: np.ndarray, edges: np.ndarray, bound: np.ndarray, slot: int, absent: int, last: int) -> _Graphs:
    """Without what is in a slot and its free edges: with a gap there, and with later slots moved up."""
    ops, edges = ops.copy(), edges.copy()
    ops[slot] = absent
    edges[slot], edges[:, slot] = bound[slot], bound[:, slot]
    if slot == last:
        return ops[None], edges[None]
    moved_ops, moved_edges = _moved(ops, edges, slot, last)
    return np.stack([ops, moved_ops]), np.stack([edges, moved_edges])


def _inserted(
    ops: np.ndarray, edges: np.ndarray, slot: int, choices: Sequence[int], absent: int, alike: list[int]
) -> _Graphs:
    """With every operation in an absent slot, at every place among its like, between every two present slots."""
    found = []
    for to in alike:
        shifted_ops, shifted_edges = _moved(ops, edges, slot, to)
        present = [other for other in range(len(ops)) if shifted_ops[other] != absent]
        for source in (other for other in present if other < to):
            for target in (other for other in present if other > to):
                wired = shifted_edges.copy()
                wired[source, to] = wired[to, target] = True
                found.append(_set_ops(shifted_ops, wired, to, choices))
    found.append((ops[None][:0], edges[None][:0]))
    return np.concatenate([part for part, _ in found]), np.concatenate([part for _, part in found])
