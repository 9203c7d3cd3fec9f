"""Whether archs are drawn uniformly: every decision and every pair of decisions held against what uniform draws have.

In a space that is too large to be enumerated, this is what can be tested of a sampler without guides. For the generator
that a space has::

    generator = generator_for(get_space("mobilenet_v3"), None)
    print(uniformity(generator.space, generator.sample(10_000, seed=1).archs))

``gennas evaluate generator --space mobilenet_v3`` prints it. Draws that are uniform over choices, rather than over
archs, are rejected: networks of depth four are many more than those of depth two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import chi2

from gennas.arch import Arch
from gennas.consent import expect
from gennas.diffusion.generator import Generator
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import Space

#: Choices that are expected less often are counted together, so that the statistic has the chi-square distribution.
LEAST_EXPECTED = 5.0
#: The chance that uniform draws are rejected at all.
LEVEL = 0.01
#: With fewer draws, pairs of choices are too rare to say anything.
LEAST_DRAWS = 100


@dataclass(frozen=True)
class Uniformity:
    """How draws compare with uniform ones.

    Attributes:
        draws: how many were looked at.
        tests: how many decisions and pairs of decisions have more than one outcome that is common enough.
        p_value: the least of their p-values, corrected for their number (Holm, 1979): below :data:`LEVEL` the draws are
            not uniform.
        place: the decision, or the two decisions, with that p-value.
        rejected: how many differ from uniform draws at :data:`LEVEL`, after the correction.
        impossible: how many draws have two choices together that no arch has.
    """

    draws: int
    tests: int
    p_value: float
    place: str
    rejected: int
    impossible: int

    @property
    def is_uniform(self) -> bool:
        """Whether nothing speaks against it."""
        return self.rejected == 0 and self.impossible == 0


def uniformity(
    space: Space, archs: Sequence[Arch], *, reference: Sequence[Arch] | None = None, seed: int = 0
) -> Uniformity:
    """Tests draws for being uniform over the archs of a space (not over its choices).

    Chi-square tests of every decision, and of every pair of decisions, against their exact probabilities where the
    space knows these (:meth:`gennas.spaces.Space.probabilities`); elsewhere against other draws.

    Args:
        space: the space.
        archs: independent draws, repetitions included; without any guide.
        reference: uniform draws to compare with; by default the exact probabilities, or as many of
            :meth:`gennas.spaces.Space.sample` where nobody knows them. Give them where ``sample`` is not uniform.
        seed: of these.

    Raises:
        InvalidInputError: fewer than 100 draws.
    """
    if len(archs) < LEAST_DRAWS:
        raise InvalidInputError(f"{len(archs)} draws are too few to tell whether they are uniform; draw {LEAST_DRAWS}.")
    choices = _choices(space, archs)
    exact = None if reference is not None else _exact(space)
    other = None
    if exact is None:
        rng = np.random.default_rng(seed)
        drawn = [space.sample(rng) for _ in archs] if reference is None else list(reference)
        other = _choices(space, drawn)
    places, p_values = [], []
    impossible = np.zeros(len(archs), dtype=bool)
    c = decisions_of(space.template).allowed.shape[1]
    for pair in [*((row,) for row in range(choices.shape[1])), *combinations(range(choices.shape[1]), 2)]:
        cells = _cells(choices, pair, c)
        counts = np.bincount(cells, minlength=c ** len(pair)).astype(float)
        if exact is not None:
            shares = exact[0][pair[0]] if len(pair) == 1 else exact[1][pair[0], :, pair[1]].ravel()
            impossible |= shares[cells] <= 0
            possible = shares > 0
            p_value = _against_shares(counts[possible], shares[possible])
        else:
            assert other is not None
            theirs = np.bincount(_cells(other, pair, c), minlength=c ** len(pair)).astype(float)
            p_value = _against_counts(counts, theirs)
        if p_value is not None:
            places.append(pair)
            p_values.append(p_value)
    corrected = _holm(np.array(p_values))
    if not len(corrected):
        return Uniformity(len(archs), 0, 1.0, "", 0, int(impossible.sum()))
    least = int(corrected.argmin())
    return Uniformity(
        len(archs),
        len(corrected),
        float(corrected[least]),
        " and ".join(_name(space, row) for row in places[least]),
        int((corrected < LEVEL).sum()),
        int(impossible.sum()),
    )


def exact_quality(generator: Generator, draws: int, seed: int) -> dict[str, Any]:
    """:func:`uniformity` of a generator's unguided draws, for cards and results.

    Returns:
        ``draws``, ``valid_rate``, ``distinct`` archs; and of the test ``tests``, ``least_p_value`` (corrected),
        ``least_of`` (its decisions), ``rejected`` and ``impossible``. With fewer than 100 draws there is no test.
    """
    # A graph of a large space is some kilobytes and takes milliseconds to draw.
    expect(f"{draws:,} draws", gigabytes=4e-6 * draws, hours=2e-3 * draws / 3600, instead="lower `draws`")
    samples = generator.sample(draws, seed=seed)
    found = {
        "draws": draws,
        "valid_rate": samples.valid_rate,
        "distinct": len({arch.key for arch in samples.archs}),
    }
    if len(samples.archs) < LEAST_DRAWS:
        return found
    tested = uniformity(generator.space, samples.archs, seed=seed)
    return found | {
        "tests": tested.tests,
        "least_p_value": round(tested.p_value, 4),
        "least_of": tested.place,
        "rejected": tested.rejected,
        "impossible": tested.impossible,
    }


def _choices(space: Space, archs: Sequence[Arch]) -> np.ndarray:
    """``(N, D)`` the choice of every decision."""
    found: np.ndarray = GraphBatch.from_archs(space.canonicalised(archs), space.template).choices().numpy()
    return found


def _cells(choices: np.ndarray, pair: tuple[int, ...], c: int) -> np.ndarray:
    """``(N,)`` the outcomes of one or two decisions as one number."""
    return choices[:, pair[0]] if len(pair) == 1 else choices[:, pair[0]] * c + choices[:, pair[1]]


def _exact(space: Space) -> tuple[np.ndarray, np.ndarray] | None:
    """``(D, c)`` probabilities of all choices, and ``(D, c, D, c)`` of all pairs; None where they are not known."""
    if not space.is_exact or space.template.free_edges:
        return None
    n, slots = len(space.template.slots), decisions_of(space.template).slots.numpy()
    k = len(space.template.vocabulary)
    whole = space.probabilities(np.full((1, n), -1))
    assert whole is not None
    alone = whole[0][slots]  # (D, k)
    pairs = np.zeros((len(slots), k, len(slots), k))
    decided = np.argwhere(alone > 0)
    ops = np.full((len(decided), n), -1)
    ops[np.arange(len(decided)), slots[decided[:, 0]]] = decided[:, 1]
    given = space.probabilities(ops)
    assert given is not None
    pairs[decided[:, 0], decided[:, 1]] = given[:, slots] * alone[decided[:, 0], decided[:, 1], None, None]
    return alone, pairs


def _against_shares(counts: np.ndarray, shares: np.ndarray) -> float | None:
    """The p-value of counts of outcomes that have these probabilities; None where only one is common enough."""
    expected = shares / shares.sum() * counts.sum()
    counts, expected = _pooled(np.stack([counts, expected]), expected)
    if len(counts) < 2:
        return None
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1))


def _against_counts(counts: np.ndarray, theirs: np.ndarray) -> float | None:
    """The p-value of two samples that have one distribution; None where only one outcome is common enough."""
    both = np.stack([counts, theirs])
    both = both[:, both.sum(0) > 0]
    sizes = both.sum(1, keepdims=True)
    both = _pooled(both, both.sum(0) * sizes.min() / sizes.sum())
    if both.shape[1] < 2:
        return None
    expected = sizes * both.sum(0) / sizes.sum()
    return float(chi2.sf(((both - expected) ** 2 / expected).sum(), both.shape[1] - 1))


def _pooled(rows: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """``(2, cells)`` rows whose rare cells are added up, so that each has at least :data:`LEAST_EXPECTED`."""
    order = np.argsort(expected)
    rows, expected = rows[:, order], expected[order]
    # As many of the rarest as are rare, and as it takes for their sum to be common enough.
    count = int((expected < LEAST_EXPECTED).sum())
    if not count:
        return rows
    count = max(count, int(np.searchsorted(np.cumsum(expected), LEAST_EXPECTED)) + 1)
    return np.hstack([rows[:, :count].sum(1, keepdims=True), rows[:, count:]])


def _holm(p_values: np.ndarray) -> np.ndarray:
    """P-values corrected for their number, in their order."""
    order = np.argsort(p_values)
    scaled = p_values[order] * (len(p_values) - np.arange(len(p_values)))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def _name(space: Space, decision: int) -> str:
    template, layout = space.template, decisions_of(space.template)
    if decision < len(layout.slots):
        return template.slots[int(layout.slots[decision])]
    source, target = template.free_edges[decision - len(layout.slots)]
    return f"{template.slots[source]}->{template.slots[target]}"
