"""JointSpace: archs of a space, each with choices that are no part of its network, such as how it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, InvalidInputError, unknown
from gennas.spaces.base import Space
from gennas.spaces.figure import Figure
from gennas.spaces.notations import NotationError
from gennas.spaces.template import Template

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gennas.spaces.terms import CostTerm
    from gennas.tasks import Task

#: What a choice may be.
Value = bool | int | float | str
#: Stands between an arch's own key and its further choices, and ends the name of a joint space.
_BESIDE, _SUFFIX = " @ ", "+recipe"


class JointSpace(Space):
    """A space of archs x further choices, each of which is one more slot of the template, without edges.

    A key is that of the arch, and the choices: ``|nor_conv_3x3~0|+... @ learning_rate:0.003 augmentation:shift``.
    Networks, costs, rules, drawings and the skeleton are those of the arch; archs compute the same function only where
    the further choices are the same, too. Made by :meth:`of`. Dai et al., "FBNetV3: Joint Architecture-Recipe Search
    using Predictor Pretraining", CVPR 2021, https://arxiv.org/abs/2006.02049.

    Attributes:
        arch_space: of the archs.
        options: name of a choice -> what it may be.
    """

    if TYPE_CHECKING:
        # Not annotated for a dataclass, which would take them for settings of the skeleton.
        arch_space: Space
        options: Mapping[str, tuple[Value, ...]]

    @classmethod
    def of(cls, space: Space, options: Mapping[str, Sequence[Value]]) -> JointSpace:
        """A space with further choices.

        Args:
            space: of the archs.
            options: name -> at least two values, all distinct, as text without blanks, ``,``, ``=`` and ``?``.

        Raises:
            InvalidInputError: the space has such choices already, a name is that of one of its slots, there is nothing
                to choose, or a value cannot be written in a key.
        """
        if isinstance(space, JointSpace):
            raise InvalidInputError(
                f"space {space.name!r} has further choices already; give {space.arch_space.name!r}."
            )
        if not options:
            raise InvalidInputError("a joint space has no further choices; name at least one.")
        for name, values in options.items():
            if name in space.template.slots:
                raise InvalidInputError(f"{name!r} is a slot of space {space.name!r} already; choose another name.")
            words = [_word(name, value) for value in values]
            if len(set(words)) < 2 or len(set(words)) < len(words):
                raise InvalidInputError(f"{name} may be {list(values)}; expected at least two values, all distinct.")
            if odd := [word for word in words if not word.isprintable() or {*" ,=?"} & {*word}]:
                raise InvalidInputError(f"{odd[0]!r} cannot stand in a key; leave out blanks, ',', '=' and '?'.")
        made = cls()
        object.__setattr__(made, "arch_space", space)
        object.__setattr__(made, "options", {name: tuple(values) for name, values in options.items()})
        return made

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, JointSpace) and self.arch_space == other.arch_space
        return same and isinstance(other, JointSpace) and self._words == other._words

    def __hash__(self) -> int:
        return hash((self.arch_space, tuple(self._words)))

    def __repr__(self) -> str:
        return f"JointSpace.of({self.arch_space!r}, {dict(self.options)!r})"

    @classmethod
    def with_skeleton(cls, settings: str | Mapping[str, int]) -> NoReturn:
        """Refused: the skeleton is that of the archs' space, from which a joint space is made."""
        raise InvalidInputError("a joint space has the skeleton of its archs' space; make that one with the skeleton.")

    # What the archs' space says, for whoever reads attributes of a class.

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.arch_space.name}{_SUFFIX}"

    @property
    def absent(self) -> str | None:  # type: ignore[override]
        return self.arch_space.absent

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:  # type: ignore[override]
        return self.arch_space.normalisation

    @property
    def sizes_images(self) -> bool:  # type: ignore[override]
        return self.arch_space.sizes_images

    @property
    def size(self) -> int | None:  # type: ignore[override]
        return None if self.arch_space.size is None else self.arch_space.size * self._combinations

    @property
    def count(self) -> int | None:
        return None if self.arch_space.count is None else self.arch_space.count * self._combinations

    @property
    def skeleton(self) -> dict[str, int]:
        return self.arch_space.skeleton

    @property
    def _combinations(self) -> int:
        return int(np.prod([len(values) for values in self.options.values()]))

    # The template: the archs' own, and a slot without edges for each further choice.

    @cached_property
    def _words(self) -> dict[str, dict[str, Value]]:
        """Name -> operation of its slot -> the value that it stands for."""
        return {name: {_word(name, value): value for value in values} for name, values in self.options.items()}

    @cached_property
    def template(self) -> Template:  # type: ignore[override]
        own = self.arch_space.template
        n, k = len(own.slots), len(own.vocabulary)
        words = [word for of_name in self._words.values() for word in of_name]
        shape = n + len(self._words), k + len(words)
        allowed, edges = np.zeros(shape, bool), np.zeros((shape[0], shape[0]), own.edges.dtype)
        values = np.full(shape, np.nan)
        allowed[:n, :k], edges[:n, :n] = own.allowed, own.edges
        values[:n, :k] = np.nan if own.values is None else own.values
        column = k
        for slot, of_name in enumerate(self._words.values(), start=n):
            for value in of_name.values():
                allowed[slot, column] = True
                if isinstance(value, int | float) and not isinstance(value, bool):
                    values[slot, column] = value
                column += 1
        numbers = None if np.isnan(values).all() else values
        return Template((*own.slots, *self._words), (*own.vocabulary, *words), allowed, edges, numbers)

    @property
    def slots_are_positions(self) -> bool:
        return self.arch_space.slots_are_positions

    @property
    def _n(self) -> int:
        """Slots of the archs' own template, which come first."""
        return len(self.arch_space.template.slots)

    def network_arch(self, arch: Arch) -> Arch:
        """The arch without its further choices, of :attr:`arch_space`."""
        return Arch(self.arch_space.name, arch.key.rpartition(_BESIDE)[0], arch.ops[: self._n], arch.edges)

    def choices(self, arch: Arch) -> dict[str, Value]:
        """Name -> what an arch chose beside its network."""
        return {name: words[op] for (name, words), op in zip(self._words.items(), arch.ops[self._n :], strict=True)}

    def joined(self, arch: Arch, choices: Mapping[str, Value]) -> Arch:
        """An arch of :attr:`arch_space` with further choices.

        Raises:
            InvalidArchError: a choice is missing, or is none of the options.
        """
        words = [_word(name, choices[name]) if name in choices else "" for name in self._words]
        return self.arch((*arch.ops, *words), arch.edges)

    # Notation

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return f"{self.arch_space.key(ops[: self._n], edges)}{_BESIDE}{' '.join(ops[self._n :])}"

    def read(self, key: str) -> PartialArch:
        """Parses an arch's own key, ``@``, and ``name:value`` for each further choice; those left out are undecided."""
        text, beside, written = key.rpartition(_BESIDE)
        if not beside:
            example = " ".join(next(iter(words)) for words in self._words.values())
            raise NotationError(f"{key!r} says nothing of {', '.join(self._words)}; end it with{_BESIDE}{example}")
        part, chosen = self.arch_space.read(text), dict[str, str | None]()
        for word in written.split():
            name, _, value = word.partition(":")
            chosen[name] = self._option(name, value)
        return self._partial(part, chosen)

    def partial(self, text: str) -> PartialArch:
        """As of the archs' space, with ``name=value`` for further choices, e.g. ``"learning_rate=0.003"``."""
        if _BESIDE in text or "=" not in text:
            return self.partial_of(text)
        chosen, others = dict[str, str | None](), []
        for part in text.split(","):
            name, _, value = (word.strip() for word in part.partition("="))
            if name in self._words:
                chosen[name] = self._option(name, value)
            else:
                others.append(part)
        if others:
            return self._partial(self.arch_space.partial(",".join(others)), chosen)
        own = self.arch_space.template
        ops = tuple(only[0] if len(only) == 1 else None for only in own.operations)
        return self._partial(PartialArch("", ops, own.fixed_edges, own.free_edges), chosen)

    def _option(self, name: str, value: str) -> str | None:
        """The operation that a written value stands for; None where it is undecided."""
        if name not in self._words:
            raise InvalidArchError(str(unknown("choice beside the arch", name, self._words)))
        word = f"{name}:{value}"
        if value == "?" or word in self._words[name]:
            return None if value == "?" else word
        options = [one.partition(":")[2] for one in self._words[name]]
        raise InvalidArchError(str(unknown(f"value of {name}", value, options)))

    def _partial(self, part: PartialArch, chosen: Mapping[str, str | None]) -> PartialArch:
        ops = (*part.ops, *(chosen.get(name) for name in self._words))
        return PartialArch(self.name, ops, part.edges, part.open_edges)

    # Everything else is the archs' own.

    def canonical(self, arch: Arch) -> Arch:
        return self._with_choices_of(arch, self.arch_space.canonical(self.network_arch(arch)))

    def _with_choices_of(self, arch: Arch, own: Arch) -> Arch:
        ops = (*own.ops, *arch.ops[self._n :])
        return Arch(self.name, f"{own.key}{_BESIDE}{' '.join(arch.ops[self._n :])}", ops, own.edges)

    def canonicalised(self, archs: Sequence[Arch]) -> list[Arch]:
        if self.slots_are_positions:
            return list(archs)
        own = self.arch_space.canonicalised([self.network_arch(arch) for arch in archs])
        return [self._with_choices_of(arch, one) for arch, one in zip(archs, own, strict=True)]

    def sample(self, rng: np.random.Generator) -> Arch:
        own = self.arch_space.sample(rng)
        words = [list(of_name)[rng.integers(len(of_name))] for of_name in self._words.values()]
        return Arch(self.name, f"{own.key}{_BESIDE}{' '.join(words)}", (*own.ops, *words), own.edges)

    def enumerate(self) -> Iterator[Arch]:
        for own in self.arch_space.enumerate():
            for words in product(*self._words.values()):
                yield Arch(self.name, f"{own.key}{_BESIDE}{' '.join(words)}", (*own.ops, *words), own.edges)

    def build(self, arch: Arch, task: Task) -> nn.Module:
        return self.arch_space.build(self.network_arch(arch), task)

    def example_input(self, task: Task) -> tuple[Tensor, ...]:
        return self.arch_space.example_input(task)

    def native_task(self, arch: Arch, task: Task) -> Task:
        return self.arch_space.native_task(self.network_arch(arch), task)

    def measured_shape(self, task: Task) -> tuple[int, ...]:
        return self.arch_space.measured_shape(task)

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        return self.arch_space.costs(self.network_arch(arch), task)

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]] | None:
        tables = self.arch_space.slot_costs(task)
        if tables is None:
            return None
        further = [(0, whole - own) for whole, own in zip(*self._shapes, strict=True)]
        return {name: (base, np.pad(table, further)) for name, (base, table) in tables.items()}

    @property
    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.template.allowed.shape, self.arch_space.template.allowed.shape

    def cost_terms(self, task: Task) -> dict[str, tuple[float, list[CostTerm]]] | None:
        return self.arch_space.cost_terms(task)

    def rule_problems(self, arch: Arch) -> list[str]:
        return self.arch_space.rule_problems(self.network_arch(arch))

    def broken_rules(self, arch: Arch) -> list[str]:
        return self.arch_space.broken_rules(self.network_arch(arch))

    @property
    def has_rules(self) -> bool:
        return self.arch_space.has_rules

    def keeps_rules(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return self.arch_space.keeps_rules(*self._own(ops, edges))

    def _own(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The archs' part of graphs."""
        return ops[:, : self._n], edges[:, : self._n, : self._n]

    def _whole(self, own: tuple[np.ndarray, np.ndarray], ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Graphs whose archs' part is ``own``, with the further choices of ``ops``."""
        further = ops[:, self._n :]
        pads = (0, further.shape[1])
        return np.hstack([own[0], further]), np.pad(own[1], ((0, 0), pads, pads))

    def probabilities(self, ops: np.ndarray) -> np.ndarray | None:
        own = self.arch_space.probabilities(ops[:, : self._n])
        if own is None:
            return None
        allowed = self.template.allowed
        found = np.broadcast_to(allowed / allowed.sum(1, keepdims=True), (len(ops), *allowed.shape)).copy()
        found[:, : self._n] = np.pad(own, ((0, 0), (0, 0), (0, allowed.shape[1] - own.shape[2])))
        return found

    def permuted(self, ops: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self._whole(self.arch_space.permuted(*self._own(ops, edges), rng), ops)

    def canonical_form(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._whole(self.arch_space.canonical_form(*self._own(ops, edges)), ops)

    def settled(self, ops: np.ndarray, edges: np.ndarray, slot: int | None) -> tuple[np.ndarray, np.ndarray]:
        if slot is not None and slot >= self._n:
            return ops, edges
        found = [(ops[:0], edges[:0])]
        # One by one: of each graph there may be several afterwards.
        for row in range(len(ops)):
            one = ops[row : row + 1]
            own = self.arch_space.settled(*self._own(one, edges[row : row + 1]), slot)
            found.append(self._whole(own, one.repeat(len(own[0]), axis=0)))
        return np.concatenate([part for part, _ in found]), np.concatenate([part for _, part in found])

    @property
    def binds(self) -> np.ndarray:
        return np.pad(self.arch_space.binds, (0, len(self._words)))

    def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._whole(self.arch_space.dataflow(*self._own(ops, edges)), ops)

    def channel_shares(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        shares = self.arch_space.channel_shares(*self._own(ops, edges))
        return np.pad(shares, ((0, 0), (0, len(self._words))), constant_values=1.0)

    def views(self, ops: np.ndarray, edges: np.ndarray) -> list[np.ndarray]:
        return self.arch_space.views(*self._own(ops, edges))

    def figures(self, arch: Arch) -> list[Figure]:
        return self.arch_space.figures(self.network_arch(arch))

    def notations(self, arch: Arch) -> dict[str, str]:
        return self.arch_space.notations(self.network_arch(arch))

    def block_words(self, arch: Arch) -> list[str]:
        return self.arch_space.block_words(self.network_arch(arch))

    @property
    def may_be_constant(self) -> bool:
        return self.arch_space.may_be_constant

    def is_constant(self, arch: Arch) -> bool:
        return self.arch_space.is_constant(self.network_arch(arch))


def _word(name: str, value: Value) -> str:
    """The operation that stands for a value, in keys as in templates."""
    return f"{name}:{str(value).lower() if isinstance(value, bool) else value}"
