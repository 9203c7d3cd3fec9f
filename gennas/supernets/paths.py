"""Paths: which archs of a supernet are trained, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces import PartsSpace, Space
from gennas.spaces.parts.layout import INACTIVE, Ref

if TYPE_CHECKING:
    from gennas.supernets.base import Supernet

#: How random archs are drawn: all alike, or those more often that are near to the largest one.
Draw = Literal["near", "uniform"]
#: Of the smaller options of a slot each is taken this often as the one above it: big cuts destroy most.
_STEP = 1 / 4
_MOST_DRAWS = 1000


def arch_of(space: PartsSpace, options: Sequence[int]) -> Arch:
    """The arch with an option for every decision; those that are not active in it are passed over.

    Args:
        space: composed of parts.
        options: index of the option, for each decision.

    Raises:
        InvalidArchError: a rule of the space forbids it.
    """
    layout, vocabulary = space.layout, space.template.vocabulary
    option_of = {
        number: decision.choice.options[option]
        for number, (decision, option) in enumerate(zip(layout.decisions, options, strict=True))
    }
    ops = [
        decision.tokens[option] if layout.is_active(number, option_of) else INACTIVE
        for number, (decision, option) in enumerate(zip(layout.decisions, options, strict=True))
    ]
    return space.arch((vocabulary[0], *ops, vocabulary[-1]))


class Paths:
    """Draws the archs that a supernet is trained with.

    A network that is cut at random in every block has lost what its parent knew, and nobody will want it. So archs are
    drawn ``near`` the largest one by default: a share of change is drawn for every arch, uniform from 0 to 1, and each
    slot is made smaller with this probability, more often by one option than by two; depths, which take whole blocks
    away, with the square of it. Without a largest arch, and with
    ``uniform``, all archs are drawn as the space draws them.

    Args:
        supernet: it says which archs are largest and smallest.
        draw: how random archs are drawn.
        resolutions: sides of images in pixels that archs are drawn with; empty for all of the space's.

    Raises:
        InvalidInputError: an unknown way to draw, or a resolution that the space does not have.
    """

    def __init__(self, supernet: Supernet, draw: Draw = "near", resolutions: Sequence[int] = ()) -> None:
        if draw not in get_args(Draw):
            raise InvalidInputError(f"is {draw!r}; expected one of {', '.join(get_args(Draw))}.", argument="draw")
        self.space, self.draw = supernet.space, draw
        self.allowed = _allowed(self.space, resolutions)
        self.size = size_slot(self.space)
        self._words = self.space.template.vocabulary
        #: ``(n, k)`` rank of every operation in its slot, 0 for the smallest; -1 for what has no size.
        self.ranks = _ranks(self.space, self.allowed)
        #: ``(n,)`` whether a slot says how many blocks a stage has.
        self.depths = np.zeros(len(self.allowed), bool)
        if isinstance(self.space, PartsSpace):
            self.depths[1:-1] = [decision.is_depth for decision in self.space.layout.decisions]
        self.largest = self._ended(supernet.largest(), largest=True)
        self.smallest = self._ended(supernet.smallest(), largest=False)

    @property
    def side(self) -> int | None:
        """The largest resolution of the archs, in pixels; None where all networks take images as they are."""
        sides = self.sides
        return max(sides) if sides else None

    @property
    def sides(self) -> list[int]:
        """The resolutions of the archs; empty where all networks take images as they are."""
        if self.size is None:
            return []
        values = self.space.template.values
        assert values is not None, "the side of images is a number"
        return sorted(int(values[self.size, op]) for op in np.flatnonzero(self.allowed[self.size]))

    def random(self, rng: np.random.Generator) -> Arch:
        """A random arch, see :class:`Paths`."""
        if self.draw == "near" and self.largest is not None:
            return self._near(self.largest, rng)
        return self._resized(self.space.sample(rng), rng)

    def trunk(self, rng: np.random.Generator) -> Arch:
        """The largest arch at a random resolution; a random arch where there is no largest."""
        return self._resized(self.largest, rng) if self.largest is not None else self.random(rng)

    def nested(self, count: int, rng: np.random.Generator) -> list[Arch]:
        """Archs of which each contains the next: the same but for slots that become smaller.

        Args:
            count: of archs.
            rng: draws them.

        Raises:
            InvalidInputError: the archs of the space have no order.
        """
        if self.largest is None:
            raise InvalidInputError(
                f"is 'sorted', but archs of space {self.space.name!r} do not contain each other; choose another one, "
                "e.g. fair.",
                argument="strategy",
            )
        found = [self._near(self.largest, rng)]
        while len(found) < count:
            found.append(self._near(found[-1], rng))
        return found

    def fair(self, rng: np.random.Generator) -> list[Arch]:
        """As many archs as the slot with most choices has, in which every choice of every slot is used equally often.

        Slots with fewer choices repeat them. Blocks that an arch leaves out are not trained by it.

        Raises:
            InvalidInputError: a rule of the space forbids some of these archs.
        """
        if self.space.template.free_edges:
            raise InvalidInputError(
                f"is 'fair', but archs of space {self.space.name!r} choose edges, too; choose another one, e.g. "
                "sandwich.",
                argument="strategy",
            )
        choices = [self.choices(slot) for slot in range(len(self.allowed))]
        count = max(map(len, choices))
        # (n, count)
        columns = np.array([rng.permutation(np.resize(rng.permutation(row), count)) for row in choices])
        try:
            return [self._arch(column) for column in columns.T]
        except InvalidArchError as error:
            raise InvalidInputError(
                f"is 'fair', but space {self.space.name!r} forbids some combinations of choices ({error}); choose "
                "another one, e.g. sandwich.",
                argument="strategy",
            ) from error

    def choices(self, slot: int) -> np.ndarray:
        """The operations that a slot chooses from, as indices into the vocabulary; without the sign of none."""
        return np.array([op for op in np.flatnonzero(self.allowed[slot]) if self._words[op] != INACTIVE])

    def with_choice(self, arch: Arch, slot: int, op: int) -> Arch:
        """The arch with another operation in a slot.

        Raises:
            InvalidArchError: a rule of the space forbids it.
        """
        if not isinstance(self.space, PartsSpace):
            return self.space.arch([*arch.ops[:slot], self._words[op], *arch.ops[slot + 1 :]], arch.edges)
        index = {word: number for number, word in enumerate(self._words)}
        ops = np.array([index[word] for word in arch.ops])
        ops[slot] = op
        return self._arch(ops)

    def _near(self, arch: Arch, rng: np.random.Generator) -> Arch:
        """An arch that a given one contains, with the choices of slots that this leaves out drawn, too."""
        index = {word: number for number, word in enumerate(self._words)}
        for _ in range(_MOST_DRAWS):
            share = rng.random()
            shares = np.where(self.depths, share**2, share)
            ops = np.array([index[word] for word in arch.ops])
            for slot, op in enumerate(ops):
                ranks = self.ranks[slot]
                if slot == self.size or ranks[op] < 1 or rng.random() >= shares[slot]:
                    continue
                smaller = [int(np.flatnonzero(ranks == rank)[0]) for rank in range(ranks[op] - 1, -1, -1)]
                weights = _STEP ** np.arange(len(smaller))
                ops[slot] = rng.choice(smaller, p=weights / weights.sum())
            try:
                return self._resized(self._arch(ops), rng)
            except InvalidArchError:
                continue
        raise InvalidInputError(
            f"{_MOST_DRAWS} archs near the largest one of space {self.space.name!r} all broke its rules; draw them "
            "uniformly instead.",
            argument="draw",
        )

    def _arch(self, ops: np.ndarray) -> Arch:
        """The arch of ``(n,)`` operations, with slots inactive that are to be."""
        space, words = self.space, [self._words[op] for op in ops]
        if not isinstance(space, PartsSpace):
            return space.arch(words)
        decisions = space.layout.decisions
        options = [
            decision.tokens.index(word) if word != INACTIVE else 0
            for decision, word in zip(decisions, words[1:-1], strict=True)
        ]
        return arch_of(space, options)

    def _resized(self, arch: Arch, rng: np.random.Generator) -> Arch:
        """The arch at a random resolution."""
        if self.size is None:
            return arch
        return self._with_size(arch, int(rng.choice(np.flatnonzero(self.allowed[self.size]))))

    def _with_size(self, arch: Arch, op: int) -> Arch:
        assert self.size is not None
        ops = list(arch.ops)
        ops[self.size] = self._words[op]
        return self.space.arch(ops, arch.edges)

    def _ended(self, arch: Arch | None, *, largest: bool) -> Arch | None:
        """The largest or smallest arch at a resolution that is allowed."""
        if arch is None or self.size is None:
            return arch
        sides = np.where(self.allowed[self.size], self.ranks[self.size], -1)
        op = int(sides.argmax()) if largest else int(np.flatnonzero(sides == sides[sides >= 0].min())[0])
        return self._with_size(arch, op)


def size_slot(space: Space) -> int | None:
    """The slot that says at which resolution an arch's network computes; None where none does."""
    size = space.layout.size if isinstance(space, PartsSpace) else None
    return size.decision + 1 if isinstance(size, Ref) else None


def _allowed(space: Space, resolutions: Sequence[int]) -> np.ndarray:
    """``(n, k)`` the template's choices, without other resolutions."""
    allowed = space.template.allowed.copy()
    if not resolutions:
        return allowed
    slot, values = size_slot(space), space.template.values
    if slot is None or values is None:
        raise InvalidInputError(
            f"are given, but archs of space {space.name!r} have no resolution; leave them out.", argument="resolutions"
        )
    known = {int(values[slot, op]): int(op) for op in np.flatnonzero(allowed[slot])}
    for side in resolutions:
        if side not in known:
            raise InvalidInputError(
                f"has {side!r}, which archs of space {space.name!r} do not; known: {', '.join(map(str, known))}.",
                argument="resolutions",
            )
    allowed[slot] = False
    allowed[slot, [known[side] for side in resolutions]] = True
    return allowed


def _ranks(space: Space, allowed: np.ndarray) -> np.ndarray:
    ranks, values = np.full(allowed.shape, -1), space.template.values
    if values is None:
        return ranks
    for slot, row in enumerate(allowed):
        sized = np.flatnonzero(row & ~np.isnan(values[slot]))
        ranks[slot, sized[np.argsort(values[slot, sized], kind="stable")]] = np.arange(len(sized))
    return ranks
