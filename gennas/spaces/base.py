"""Space: what every search space tells the rest of gennas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, InvalidInputError, unknown
from gennas.spaces.template import FORBIDDEN, Template

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gennas.tasks import Task


class Space(ABC):
    """A set of valid archs, with their notation, their costs and their networks.

    A subclass is a frozen dataclass whose fields are the settings of the network around the searched part
    (the *skeleton*). It must define ``name``, ``template`` and the abstract methods;
    :func:`gennas.testing.check_space` tests that they fit together.
    """

    name: ClassVar[str]
    template: ClassVar[Template]
    #: Number of archs, where it is known.
    size: ClassVar[int | None] = None
    #: The operation that says "there is nothing here", where the vocabulary has one; drawings leave it out.
    absent: ClassVar[str | None] = None

    @abstractmethod
    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """The native notation of a graph over the template."""

    @abstractmethod
    def read(self, key: str) -> PartialArch:
        """What a native string says; ``?`` in place of an operation or an edge leaves it open.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """

    @abstractmethod
    def canonical(self, arch: Arch) -> Arch:
        """The representative of all archs that compute the same function."""

    @abstractmethod
    def build(self, arch: Arch, task: Task) -> nn.Module:
        """The network of an arch for a task: ``(batch, channels, height, width) -> (batch, classes)`` logits.

        A space whose networks take something else says so here, and overrides :meth:`example_input`.
        """

    def example_input(self, task: Task) -> tuple[Tensor, ...]:
        """What a network for the task may be called with, to get logits ``(2, classes)``: here two black images."""
        import torch

        return (torch.zeros(2, *task.input_shape),)

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]] | None:
        """Exact costs as a sum over slots: cost metric -> (cost of the skeleton, ``(n, k)`` cost of each choice).

        None for a space whose costs are no such sums; it defines :meth:`costs` instead.
        """
        return None

    def rule_problems(self, arch: Arch) -> list[str]:
        """Defects that the template cannot express (an edge budget, an unreachable output); none by default."""
        return []

    @property
    def has_rules(self) -> bool:
        """Whether there is anything that the template cannot express."""
        return type(self).rule_problems is not Space.rule_problems

    def keeps_rules(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """``(b,)`` whether :meth:`rule_problems` finds nothing, for graphs that the template allows.

        A space whose rules can be checked for many graphs at once overrides this loop.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        if not self.has_rules:
            return np.ones(len(ops), dtype=bool)
        words = np.array(self.template.vocabulary)[ops].tolist()
        pairs = [tuple((int(i), int(j)) for i, j in np.argwhere(present)) for present in edges]
        archs = (Arch(self.name, "", tuple(row), edges) for row, edges in zip(words, pairs, strict=True))
        return np.array([not self.rule_problems(arch) for arch in archs], dtype=bool)

    def permuted(self, ops: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The same graphs, each with its slots numbered in another way, drawn at random.

        Only a space whose slots are interchangeable overrides this; elsewhere a slot is a position.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
            rng: chooses the numbering.
        """
        return ops, edges

    def canonical_form(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same graphs under the numbering that :meth:`enumerate` yields, so that equal archs are equal arrays.

        Only a space whose slots are interchangeable overrides this; elsewhere a slot is a position.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        return ops, edges

    def canonicalised(self, archs: Sequence[Arch]) -> list[Arch]:
        """Archs of this space under the numbering of :meth:`canonical_form`."""
        if type(self).canonical_form is Space.canonical_form or not archs:
            return list(archs)
        before = self.arrays(archs)
        ops, edges = self.canonical_form(*before)
        same = (ops == before[0]).all(axis=1) & (edges == before[1]).all(axis=(1, 2))
        words = np.array(self.template.vocabulary, dtype=object)[ops]
        numbered = list(archs)
        for row in np.flatnonzero(~same).tolist():
            pairs = tuple((i, j) for i, j in np.argwhere(edges[row]).tolist())
            numbered[row] = Arch(self.name, self.key(words[row], pairs), tuple(words[row]), pairs)
        return numbered

    def enumerate(self) -> Iterator[Arch]:
        """All archs, in a fixed order; only for spaces with a ``size``.

        Of archs that differ in nothing but the numbering of interchangeable slots it yields one.

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
        """``(N, n)`` operation indices and ``(N, n, n)`` booleans of the present edges of archs of this space."""
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
            InvalidArchError: the string is malformed or breaks a rule; the message names the defect.
        """
        partial = self.read(key)
        if not partial.is_whole:
            raise InvalidArchError(f"{key!r} leaves something open ('?'); only 'gennas generate --fix' completes it.")
        return self.arch([op for op in partial.ops if op is not None], partial.edges)

    def partial(self, text: str) -> PartialArch:
        """The partial arch that a user describes, to be completed.

        Args:
            text: a native string with ``?``, or some choices such as ``"slot=op, slot->slot=present"``; what it does
                not name is open.

        Raises:
            InvalidArchError: a malformed string, or a choice that the template does not have.
        """
        if "=" not in text:
            return self.read(text)
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
                raise InvalidArchError(f"edge {name} is {value!r}; expected present or absent.")
            open_edges.discard(pair)
            (present.add if value == "present" else present.discard)(pair)
        return PartialArch(self.name, tuple(ops), tuple(sorted(present)), tuple(sorted(open_edges)))

    def _only_op(self, slot: int) -> str | None:
        allowed = np.flatnonzero(self.template.allowed[slot])
        return self.template.vocabulary[allowed[0]] if len(allowed) == 1 else None

    def _edge_named(self, name: str) -> tuple[int, int]:
        """The free edge ``source->target``, given by the names of its slots."""
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
        """Every defect of an arch, in words with the value found; empty for a valid one."""
        template = self.template
        if len(arch.ops) != len(template.slots):
            return [f"{len(arch.ops)} operations for {len(template.slots)} slots"]
        found = []
        for slot, op, operations in zip(template.slots, arch.ops, template.operations, strict=True):
            if op not in operations:
                found.append(f"slot {slot} has operation {op!r}; allowed: {', '.join(operations)}")
        present = set(arch.edges)
        if len(present) < len(arch.edges):
            found.append("an edge is there twice")
        for i, j in template.fixed_edges:
            if (i, j) not in present:
                found.append(f"the fixed edge {template.slots[i]} -> {template.slots[j]} is missing")
        for i, j in arch.edges:
            if not (0 <= i < j < len(template.slots)) or template.edges[i, j] == FORBIDDEN:
                found.append(f"edge ({i}, {j}) is not allowed")
        return found or self.rule_problems(arch)

    def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which operations feed which: the same graphs with no edge to or from a slot that holds nothing.

        A space whose template tells in another way what reads what overrides this.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        if self.absent is None:
            return ops, edges
        there = ops != self.template.vocabulary.index(self.absent)
        return ops, edges & there[:, :, None] & there[:, None]

    def channel_shares(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """``(b, n)`` the channels of every slot's output, as a share of the widest that a slot can have.

        A space whose archs divide channels among slots overrides this; elsewhere all have the same.

        Args:
            ops: ``(b, n)`` indices into the vocabulary.
            edges: ``(b, n, n)`` boolean, the present edges.
        """
        return np.ones(ops.shape)

    def is_constant(self, arch: Arch) -> bool:
        """Whether no path of present operations leads from an input to the output: the network ignores its input."""
        reached = {i for i in self.template.sources if arch.ops[i] != self.absent}
        for i, j in arch.edges:
            # Sorted edges between topologically ordered slots: a source is settled before it is left.
            if i in reached and arch.ops[j] != self.absent:
                reached.add(j)
        return len(arch.ops) - 1 not in reached

    def arch(self, ops: Sequence[str], edges: Sequence[tuple[int, int]] | None = None) -> Arch:
        """The valid arch with these operations and present edges (default: the template's fixed edges).

        Raises:
            InvalidArchError: it breaks a rule; the message lists every defect.
        """
        if edges is None:
            edges = self.template.fixed_edges
        edges = sorted(edges)
        arch = Arch(self.name, "", tuple(ops), tuple(edges))
        if defects := self.problems(arch):
            raise InvalidArchError(f"no valid {self.name} arch: {'; '.join(defects)}.")
        return Arch(self.name, self.key(ops, edges), tuple(ops), tuple(edges))

    def sample(self, rng: np.random.Generator) -> Arch:
        """A uniformly drawn valid arch: every free choice uniform, repeated until the rules hold.

        Raises:
            InvalidArchError: the rules rejected 10,000 draws in a row; such a space must sample by itself.
        """
        template = self.template
        for _ in range(10_000):
            ops = [template.vocabulary[rng.choice(np.flatnonzero(row))] for row in template.allowed]
            edges = sorted([*template.fixed_edges, *(pair for pair in template.free_edges if rng.random() < 0.5)])
            if not self.problems(Arch(self.name, "", tuple(ops), tuple(edges))):
                return self.arch(ops, edges)
        raise InvalidArchError(
            f"10,000 uniform draws over the template of {self.name} broke its rules; "
            "give the space a sample method of its own."
        )

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        """``params_m`` and ``macs_m`` of an arch's network for a task, computed exactly."""
        tables = self.slot_costs(task)
        if tables is None:
            raise TypeError(f"{type(self).__name__} defines neither slot_costs nor costs")
        choice = [self.template.vocabulary.index(op) for op in arch.ops]
        slots = np.arange(len(choice))
        return {name: float(base + table[slots, choice].sum()) for name, (base, table) in tables.items()}

    @property
    def skeleton(self) -> dict[str, int]:
        """The settings of the network around the searched part."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def with_skeleton(cls, settings: str | Mapping[str, int]) -> Space:
        """The space with some skeleton settings changed, e.g. ``"channels=16,cells=5"``.

        Raises:
            UnknownNameError: the space has no such setting.
            InvalidInputError: not ``name=integer``, or the integer is not positive.
        """
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if isinstance(settings, str):
            pairs = [part.partition("=") for part in settings.split(",") if part.strip()]
        else:
            pairs = [(name, "=", str(value)) for name, value in settings.items()]
        values = {}
        for name, _, value in pairs:
            if name.strip() not in known:
                raise unknown(f"skeleton setting of {cls.name}", name.strip(), known)
            if not value.strip().isdigit() or int(value) < 1:
                raise InvalidInputError(f"skeleton setting {name.strip()}={value.strip()!r}; expected an integer >= 1.")
            values[name.strip()] = int(value)
        return cls(**values)
