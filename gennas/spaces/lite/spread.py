"""Archs spread over the whole range of an elastic space: uniform ones are nearly all deep and of one size."""

from __future__ import annotations

import numpy as np

from gennas.arch import Arch
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.layout import INACTIVE

#: Shares of archs that are drawn uniformly, and by a few changes of the parent; of the others each has a leaning of its
#: own towards small or large options of every kind of choice.
UNIFORM, NEAR_PARENT = 0.2, 0.3
#: Most changes of the parent; and the range of leanings, the logarithm of how much likelier the largest option is than
#: the middle one. It reaches further up: with 16 blocks, almost the parent takes almost certain choices.
CHANGES, LEANINGS = 6, (-3.0, 5.0)


def spread_archs(space: ElasticSpace, count: int, seed: int = 0) -> list[Arch]:
    """Distinct archs: small ones, parent-like ones, and uniform ones, at all resolutions.

    Args:
        space: of the archs.
        count: how many; the first ones are the same for any count.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, Arch] = {}
    for _ in range(100 * count):
        if len(found) >= count:
            break
        kind = rng.random()
        if kind < UNIFORM:
            arch = space.sample(rng)
        else:
            arch = _changed(space, rng) if kind < UNIFORM + NEAR_PARENT else _leaning(space, rng)
        found.setdefault(arch.key, arch)
    return list(found.values())


def _leaning(space: ElasticSpace, rng: np.random.Generator) -> Arch:
    names = {decision.name.partition(".")[0] for decision in space.layout.decisions}
    leanings = {name: rng.uniform(*LEANINGS) for name in sorted(names)}
    drawn: dict[int, Option] = {}
    for number, decision in enumerate(space.layout.decisions):
        options = sorted(map(int, decision.choice.options))
        leaning = 0.0 if decision.name == "resolution" else leanings[decision.name.partition(".")[0]]
        weights = np.exp(leaning * np.linspace(-1, 1, len(options)))
        drawn[number] = options[rng.choice(len(options), p=weights / weights.sum())]
    return _arch(space, drawn)


def _changed(space: ElasticSpace, rng: np.random.Generator) -> Arch:
    decisions = space.layout.decisions
    drawn: dict[int, Option] = {
        number: max(map(int, decision.choice.options)) for number, decision in enumerate(decisions)
    }
    chosen = set(rng.permutation(len(decisions))[: rng.integers(CHANGES + 1)].tolist())
    for number, decision in enumerate(decisions):
        if number in chosen or decision.name == "resolution":
            drawn[number] = decision.choice.options[int(rng.integers(len(decision.choice.options)))]
    return _arch(space, drawn)


def _arch(space: ElasticSpace, drawn: dict[int, Option]) -> Arch:
    """The arch with these options of all decisions; those of absent blocks count for nothing."""
    layout = space.layout
    depths = {number: option for number, option in drawn.items() if layout.decisions[number].is_depth}
    ops = [
        decision.tokens[decision.choice.options.index(drawn[number])]
        if not layout.is_conditional(number) or layout.is_active(number, depths)
        else INACTIVE
        for number, decision in enumerate(layout.decisions)
    ]
    vocabulary = space.template.vocabulary
    return space.arch((vocabulary[0], *ops, vocabulary[-1]))
