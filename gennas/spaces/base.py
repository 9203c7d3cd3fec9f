"""Space: the interface of a search space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, InvalidInputError, short, unknown
from gennas.spaces.figure import Figure
from gennas.spaces.notations import NotationError, foreign
from gennas.spaces.skeleton import check_class, check_declarations, parsed_settings
from gennas.spaces.template import FORBIDDEN, Template
from gennas.spaces.terms import CostTerm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gennas.spaces.stacks.base import Stack, StackLayout
    from gennas.tasks import Task


@dataclass(frozen=True)
class Space(ABC):
    """A set of valid archs, with their notation, costs and networks.

    A subclass must define ``name``, ``template`` and the abstract methods; :func:`gennas.testing.check_space` tests
    that they are consistent. Settings of the network around the searched part (the *skeleton*) are fields, whole
    numbers with a default: a subclass that has some is a frozen dataclass, one without needs no decorator.

    Raises:
        InvalidInputError: the class lacks something, or a setting is no field, no whole number, or has no default.
    """

    name: ClassVar[str]
    template: ClassVar[Template]
    #: Number of archs, or None if unknown.
    size: ClassVar[int | None] = None
    #: The operation that stands for an empty slot, or None if the vocabulary has none; drawings omit it.
    absent: ClassVar[str | None] = None
    #: Mean and std of every channel, on the scale from 0 to 1, by which images are standardised, as pretrained weights
    #: expect them; None for those of the training images.
    normalisation: ClassVar[tuple[tuple[float, ...], tuple[float, ...]] | None] = None
    #: Whether archs say what size of images their networks compute with, whatever size the task's have.
    sizes_images: ClassVar[bool] = False
    #: Whether networks can be trained at once, see :meth:`stack`.
    trains_at_once: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_declarations(cls)

    def __new__(cls, *args: int, **settings: int) -> Self:
        # Not when the class is made: the decorator comes after that.
        check_class(cls)
        return super().__new__(cls)

    @property
    def count(self) -> int | None:
        """Number of archs before rules that no template or body expresses, or None if unknown: by default the size.

        Spaces that are too large to be enumerated, and have no ``size`` for that, may still be counted.
        """
        return self.size

    @abstractmethod
    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """The native notation of a graph over the template."""

    @abstractmethod
    def read(self, key: str) -> PartialArch:
        """Parses a native string; ``?`` in place of an operation or an edge leaves it undecided.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """

    @abstractmethod
    def canonical(self, arch: Arch) -> Arch:
        """The canonical form of an arch: the same one for all archs that compute the same function."""

    @abstractmethod
    def build(self, arch: Arch, task: Task) -> nn.Module:
        """Builds the network of an arch for a task: ``(batch, channels, height, width) -> (batch, classes)`` logits.

        A space whose networks take other inputs documents them here and overrides :meth:`example_input`.
        """

    def stack(self, networks: Sequence[nn.Module], layout: StackLayout) -> Stack:
        """Networks of this space side by side in one module, so that they are trained at once.

        Args:
            networks: as :meth:`build` made them, for images of one shape; the stack begins with their weights.
            layout: how they lie in it.

        Raises:
            InvalidInputError: networks of the space are trained one at a time only, see :attr:`trains_at_once`.
        """
        raise InvalidInputError(f"networks of space {self.name!r} cannot be trained at once; train one at a time.")

    def example_input(self, task: Task) -> tuple[Tensor, ...]:
        """Arguments with which a network for the task returns logits ``(2, classes)``: by default two black images."""
        import torch

        return (torch.zeros(2, *task.input_shape),)

    def native_task(self, arch: Arch, task: Task) -> Task:
        """The task with images of the size that an arch's network computes with: by default, those of the task.

        Deployed networks take such images, and latencies and memory are those of such networks.
        """
        return task

    def notes_on(self, task: Task) -> tuple[str, ...]:
        """What the user should know of a task; not how its images are resized, where archs say that."""
        resizing = task.source.resizing if self.sizes_images and task.source is not None else ""
        return tuple(note for note in task.notes if note != resizing)

    def measured_shape(self, task: Task) -> tuple[int, ...]:
        """``(channels, height, width)`` of the images that latencies are measured with; empty where archs say it."""
        return () if self.sizes_images else task.input_shape

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]] | None:
        """Exact costs as a sum over slots: cost metric -> (cost of the skeleton, ``(n, k)`` cost of each choice).

        None for a space whose costs are not additive over slots; it overrides :meth:`costs` instead.
        """
        return None

    def cost_terms(self, task: Task) -> dict[str, tuple[float, list[CostTerm]]] | None:
        """Exact costs as a sum of terms that depend on a few slots each: cost metric -> (constant, terms).

        For spaces whose costs are no sum over slots. None where they are no such sum either, or where nobody knows.
        """
        return None

    def rule_problems(self, arch: Arch) -> list[str]:
        """Violations of rules that the template cannot express, such as an edge budget; none by default.

        Args:
            arch: look at ``arch.ops`` and ``arch.edges``; its key is written only once it is known to be valid.
        """
        return []

    @property
    def has_rules(self) -> bool:
        """Whether the space has rules that the template cannot express."""
        return type(self).rule_problems is not Space.rule_problems

    def keeps_rules(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """``(b,)`` boolean: which graphs, all allowed by the template, break no rule; see :meth:`broken_rules`.

        Override this loop if the rules can be checked for many graphs at once.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        if not self.has_rules:
            return np.ones(len(ops), dtype=bool)
        words = np.array(self.template.vocabulary)[ops].tolist()
        pairs = [tuple((int(i), int(j)) for i, j in np.argwhere(present)) for present in edges]
        archs = (Arch(self.name, "", tuple(row), edges) for row, edges in zip(words, pairs, strict=True))
        return np.array([not self.broken_rules(arch) for arch in archs], dtype=bool)

    def probabilities(self, ops: np.ndarray) -> np.ndarray | None:
        """``(b, n, k)`` probability of every operation of the slots, given the decided ones, under uniform archs.

        Exact, for spaces without free edges whose archs can be counted; None for others, which need a trained
        generator. All are 0 in a slot where no arch agrees with what is decided.

        Args:
            ops: ``(b, n)`` indices into the vocabulary; -1 is undecided.
        """
        if self.has_rules or self.template.free_edges or type(self).canonical_form is not Space.canonical_form:
            return None
        allowed = self.template.allowed
        return np.broadcast_to(allowed / allowed.sum(1, keepdims=True), (len(ops), *allowed.shape))

    @property
    def is_exact(self) -> bool:
        """Whether :meth:`probabilities` are known, so that archs are drawn without a trained generator."""
        return self.probabilities(self.template.allowed.argmax(axis=1)[None]) is not None

    @property
    def slots_are_positions(self) -> bool:
        """Whether a slot is a fixed position in all archs, rather than interchangeable with others."""
        kind = type(self)
        return kind.permuted is Space.permuted and kind.canonical_form is Space.canonical_form

    def permuted(self, ops: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The same graphs, each with its slots randomly permuted.

        Only a space whose slots are interchangeable overrides this; elsewhere a slot is a fixed position.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
            rng: draws the permutations.
        """
        return ops, edges

    def settled(self, ops: np.ndarray, edges: np.ndarray, slot: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The same graphs, with other slots changed where a rule binds them to one that was changed.

        Only a space whose rules bind slots together overrides this, so that searches find neighbours: with another
        depth other blocks are there. One graph may become several, or none.

        Args:
            ops: ``(b, n)`` indices into the vocabulary, allowed by the template.
            edges: ``(b, n, n)`` boolean, the present edges.
            slot: that was changed, and is kept; None to keep as many as possible.
        """
        return ops, edges

    @property
    def binds(self) -> np.ndarray:
        """``(n, n)`` boolean: which other slots may have to change with a slot, so that both are masked together.

        Only a space whose rules bind slots together overrides this: with another depth other blocks are there.
        """
        return np.zeros((len(self.template.slots),) * 2, bool)

    def canonical_form(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same graphs in the slot order that :meth:`enumerate` yields, so that equal archs are equal arrays.

        Only a space whose slots are interchangeable overrides this; elsewhere a slot is a fixed position.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        return ops, edges

    def canonicalised(self, archs: Sequence[Arch]) -> list[Arch]:
        """The archs in the slot order of :meth:`canonical_form`."""
        if type(self).canonical_form is Space.canonical_form or not archs:
            return list(archs)
        before = self.arrays(archs)
        ops, edges = self.canonical_form(*before)
        same = (ops == before[0]).all(axis=1) & (edges == before[1]).all(axis=(1, 2))
        words = np.array(self.template.vocabulary, dtype=object)[ops]
        result = list(archs)
        for row in np.flatnonzero(~same).tolist():
            pairs = tuple((i, j) for i, j in np.argwhere(edges[row]).tolist())
            result[row] = Arch(self.name, self.key(words[row], pairs), tuple(words[row]), pairs)
        return result

    def enumerate(self) -> Iterator[Arch]:
        """Yields all archs in a fixed order; only for spaces with a ``size``.

        Archs that differ only by a permutation of interchangeable slots are yielded once.

        Raises:
            InvalidInputError: the space is too large to enumerate.
        """
        raise InvalidInputError(f"space {self.name!r} cannot be enumerated; sample from it instead.")

    def enumerate_graphs(self) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`enumerate` as arrays: ``(N, n)`` operation indices and ``(N, n, n)`` booleans of present edges.

        Raises:
            InvalidInputError: the space is too large to enumerate.
        """
        return self.arrays(list(self.enumerate()))

    def arrays(self, archs: Sequence[Arch]) -> tuple[np.ndarray, np.ndarray]:
        """``(N, n)`` operation indices and ``(N, n, n)`` booleans of present edges, for archs of this space."""
        index = {op: i for i, op in enumerate(self.template.vocabulary)}
        n = len(self.template.slots)
        ops = np.array([[index[op] for op in arch.ops] for arch in archs], dtype=np.int64).reshape(-1, n)
        edges = np.zeros((len(archs), n, n), dtype=bool)
        present = [(row, i, j) for row, arch in enumerate(archs) for i, j in arch.edges]
        if present:
            edges[tuple(np.array(present).T)] = True
        return ops, edges

    def parse(self, key: str) -> Arch:
        """The arch that a native string stands for.

        Raises:
            InvalidArchError: the string is malformed, undecided in part, or breaks a rule; the message says which.
        """
        partial = self.partial_of(key)
        if not partial.is_whole:
            raise InvalidArchError(f"{key!r} is incomplete ('?'); complete it with 'gennas generate --fix'.")
        return self.arch([op for op in partial.ops if op is not None], partial.edges)

    def archs_of(self, given: Iterable[Arch | str], argument: str | None = None) -> list[Arch]:
        """Archs, of which some may be given by their keys.

        Args:
            given: archs of this space, or keys.
            argument: that they were given as, for messages.

        Raises:
            InvalidArchError: one is of another space, or a key is none of this space.
        """
        found = [self.parse(one) if isinstance(one, str) else one for one in given]
        for arch in found:
            if not isinstance(arch, Arch) or arch.space != self.name:
                what = f"of space {arch.space!r}" if isinstance(arch, Arch) else "no arch"
                text = f"{short(str(arch))!r} is {what}; expected archs of {self.name!r}, or keys."
                raise InvalidArchError(text, argument=argument)
        return found

    def partial_of(self, key: str) -> PartialArch:
        """:meth:`read`, which names the notation of a text that is none of the space's but looks like another's.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect, or the notation and how to give it.
        """
        try:
            return self.read(key)
        except NotationError:
            raise
        except InvalidArchError as error:
            first = key.strip()[:1]
            # A space whose own notation begins with a bracket says best what is wrong with it.
            own = first in "[({" and self.sample(np.random.default_rng(0)).key.startswith(first)
            if not own and (known := foreign(key, self.name)):
                raise NotationError(known) from error
            raise

    def partial(self, text: str) -> PartialArch:
        """Parses the description of a partial arch.

        Args:
            text: a native string with ``?``, or choices such as ``"slot=op, slot->slot=present"``; everything that is
                not named is undecided.

        Raises:
            InvalidArchError: the string is malformed, or the template does not allow one of the choices.
        """
        if "=" not in text:
            return self.partial_of(text)
        template = self.template
        ops: list[str | None] = [self._only_op(slot) for slot in range(len(template.slots))]
        present = set(template.fixed_edges)
        open_edges = set(template.free_edges)
        for part in text.split(","):
            name, _, value = (word.strip() for word in part.partition("="))
            if name in template.slots:
                slot = template.slots.index(name)
                choices = template.operations[slot]
                if value not in choices:
                    raise InvalidArchError(str(unknown(f"operation of slot {name}", value, choices)))
                ops[slot] = value
                continue
            pair = self._edge_named(name)
            if value not in ("present", "absent"):
                raise InvalidArchError(f"edge {name} is {value!r}; must be 'present' or 'absent'.")
            open_edges.discard(pair)
            (present.add if value == "present" else present.discard)(pair)
        return PartialArch(self.name, tuple(ops), tuple(sorted(present)), tuple(sorted(open_edges)))

    def _only_op(self, slot: int) -> str | None:
        allowed = np.flatnonzero(self.template.allowed[slot])
        return self.template.vocabulary[allowed[0]] if len(allowed) == 1 else None

    def _edge_named(self, name: str) -> tuple[int, int]:
        """The free edge ``source->target``, given the names of its slots."""
        slots, free = self.template.slots, self.template.free_edges
        for source, target in free:
            if name.replace(" ", "") == f"{slots[source]}->{slots[target]}":
                return source, target
        edges = [f"{slots[i]}->{slots[j]}" for i, j in free]
        raise InvalidArchError(
            str(
                unknown(
                    f"free slot or edge of {self.name}", name, [*(slots[i] for i in self.template.free_slots), *edges]
                )
            )
        )

    def problems(self, arch: Arch) -> list[str]:
        """A message for every defect of an arch, with the offending value; empty if the arch is valid."""
        template = self.template
        if len(arch.ops) != len(template.slots):
            return [f"{len(arch.ops)} operations for {len(template.slots)} slots"]
        found = []
        for slot, op, operations in zip(template.slots, arch.ops, template.operations, strict=True):
            if op not in operations:
                found.append(f"slot {slot} has operation {op!r}; allowed: {', '.join(operations)}")
        present = set(arch.edges)
        if len(present) < len(arch.edges):
            found.append("an edge is listed twice")
        for i, j in template.fixed_edges:
            if (i, j) not in present:
                found.append(f"the fixed edge {template.slots[i]} -> {template.slots[j]} is missing")
        for i, j in arch.edges:
            if not (0 <= i < j < len(template.slots)) or template.edges[i, j] == FORBIDDEN:
                found.append(f"edge ({i}, {j}) is not allowed")
        return found or self.broken_rules(arch)

    def broken_rules(self, arch: Arch) -> list[str]:
        """Violations of all rules beyond the template: of :meth:`rule_problems`, and of what a space is made of."""
        return self.rule_problems(arch)

    def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which operation feeds which: the same graphs without the edges into or out of empty slots.

        A space whose template encodes connections in another way overrides this.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        if self.absent is None:
            return ops, edges
        used = ops != self.template.vocabulary.index(self.absent)
        return ops, edges & used[:, :, None] & used[:, None]

    def channel_shares(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """``(b, n)`` output channels of every slot, as a fraction of the widest possible.

        A space whose archs divide channels among slots overrides this; elsewhere all slots are equally wide.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        return np.ones(ops.shape)

    def views(self, ops: np.ndarray, edges: np.ndarray) -> list[np.ndarray]:
        """``(b, f)`` arrays of numbers that describe graphs, from the plainest view to the most detailed.

        A space overrides this where predictors would learn less from the graph of its dataflow, as where that has
        several parts with a meaning of their own. Slots then count for predictors by their position, too. None by
        default.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        return []

    def figures(self, arch: Arch) -> list[Figure]:
        """What a drawing of an arch shows, from top to bottom; empty, as by default, for the graph of its dataflow."""
        return []

    def notations(self, arch: Arch) -> dict[str, str]:
        """How others write an arch: the name of a notation -> the text; none by default. See docs/guides."""
        return {}

    def block_words(self, arch: Arch) -> list[str]:
        """What drawings say about the blocks of an arch's network, which is an ``nn.Sequential`` of as many modules.

        Empty for a block of which its layers are said; an empty list, as by default, for all of them.
        """
        return []

    @property
    def may_be_constant(self) -> bool:
        """Whether :meth:`is_constant` has to be asked at all."""
        overridden = type(self).is_constant is not Space.is_constant
        return overridden or self.absent is not None or bool(self.template.free_edges)

    def is_constant(self, arch: Arch) -> bool:
        """Whether no path connects a source and a sink of the template, so that the network ignores its input."""
        reached = {i for i in self.template.sources if arch.ops[i] != self.absent}
        for i, j in arch.edges:
            # Slots are in topological order and edges are sorted: whether a source is reached is known by now.
            if i in reached and arch.ops[j] != self.absent:
                reached.add(j)
        return reached.isdisjoint(self.template.sinks)

    def arch(self, ops: Sequence[str], edges: Sequence[tuple[int, int]] | None = None) -> Arch:
        """The arch with these operations and present edges (default: the template's fixed edges).

        Raises:
            InvalidArchError: the arch breaks a rule; the message lists every defect.
        """
        if edges is None:
            edges = self.template.fixed_edges
        edges = sorted(edges)
        arch = Arch(self.name, "", tuple(ops), tuple(edges))
        if defects := self.problems(arch):
            raise InvalidArchError(f"not a valid {self.name} arch: {'; '.join(defects)}.")
        return Arch(self.name, self.key(ops, edges), tuple(ops), tuple(edges))

    def sample(self, rng: np.random.Generator) -> Arch:
        """Draws a valid arch by rejection: every free choice uniform, redrawn until the rules hold.

        Raises:
            InvalidArchError: 10,000 draws in a row broke a rule; the space must override this method.
        """
        template = self.template
        for _ in range(10_000):
            ops = [template.vocabulary[rng.choice(np.flatnonzero(row))] for row in template.allowed]
            edges = sorted([*template.fixed_edges, *(pair for pair in template.free_edges if rng.random() < 0.5)])
            if not self.problems(Arch(self.name, "", tuple(ops), tuple(edges))):
                return self.arch(ops, edges)
        raise InvalidArchError(
            f"space {self.name!r}: 10,000 uniform draws from the template all broke its rules; "
            f"override {type(self).__name__}.sample()."
        )

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        """Exact ``params_m`` and ``macs_m`` (both in millions) of an arch's network for a task."""
        tables = self.slot_costs(task)
        if tables is None:
            raise TypeError(f"{type(self).__name__} must define slot_costs() or costs()")
        choice = [self.template.vocabulary.index(op) for op in arch.ops]
        slots = np.arange(len(choice))
        return {name: float(base + table[slots, choice].sum()) for name, (base, table) in tables.items()}

    @property
    def skeleton(self) -> dict[str, int]:
        """The skeleton settings: name -> value."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def with_skeleton(cls, settings: str | Mapping[str, int]) -> Space:
        """The space with some skeleton settings changed, e.g. ``"channels=16,cells=5"``.

        Raises:
            UnknownNameError: the space has no such setting.
            InvalidInputError: a setting is not ``name=integer``, or the integer is not positive.
        """
        check_class(cls)
        return cls(**parsed_settings(cls, settings))
