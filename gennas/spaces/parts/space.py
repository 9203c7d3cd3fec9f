"""PartsSpace: a space whose template, notation, costs and networks follow from the parts it is composed of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from inspect import isabstract
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces.base import Space
from gennas.spaces.counting import Beside
from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.layout import INACTIVE, Layout, Ref
from gennas.spaces.parts.notation import Notation
from gennas.spaces.parts.patterns import Patterns
from gennas.spaces.parts.stage import Cell, Resize, Stage
from gennas.spaces.template import Template

if TYPE_CHECKING:
    from torch import nn

    from gennas.spaces.parts.terms import CostTerms
    from gennas.spaces.terms import CostTerm
    from gennas.tasks import Task

#: Spaces with more archs are not enumerated.
MOST_ENUMERATED = 100_000


class _OfClass:
    """An attribute of a class that follows from its body, computed when it is first read."""

    def __init__(self, function: Callable[[type[PartsSpace]], Any]) -> None:
        self.function = cache(function)

    def __get__(self, instance: object, owner: type[PartsSpace]) -> Any:
        if isabstract(owner):
            raise AttributeError(f"{owner.__name__} has no body")
        return self.function(owner)


@dataclass(frozen=True)
class PartsSpace(Space):
    """A space that is composed of parts: stages of blocks, cells, and choices in them.

    A subclass has a ``name``, yields its parts in :meth:`body`, and builds modules in :meth:`stem`, :meth:`block` (or
    :meth:`operation`, for cells) and :meth:`head`. Everything else follows, and may be overridden: the template, the
    notation, counting, exactly uniform sampling, and costs. Settings of the network, if there are any, are fields of a
    frozen dataclass with defaults; choices must not depend on them.

    Attributes:
        counted_beside: operations that count as multiply-adds beside products; see :func:`.counting.count`.
    """

    template: ClassVar[Template] = _OfClass(lambda cls: cls().layout.template)  # type: ignore[assignment]
    #: Number of archs; None where they are too many to be enumerated.
    size: ClassVar[int | None] = _OfClass(lambda cls: cls()._number())  # type: ignore[assignment]
    #: The operation of an empty slot: of inactive choices, or else of absent edges in cells.
    absent: ClassVar[str | None] = _OfClass(lambda cls: _absent(cls().layout))  # type: ignore[assignment]
    counted_beside: ClassVar[Beside] = {}

    @abstractmethod
    def body(self) -> Iterable[Stage | Resize]:
        """Yields the parts between stem and head, in their order."""

    @abstractmethod
    def stem(self, task: Task) -> tuple[nn.Module, int]:
        """The module that takes the images ``(b, channels, height, width)``, and the channels it returns."""

    @abstractmethod
    def head(self, channels: int, task: Task) -> nn.Module:
        """The module that returns logits ``(b, classes)`` from what the last block returns."""

    def block(self, channels_in: int, channels: int, stride: int, *args: Any, **choices: Any) -> nn.Module:
        """Builds a block of a stage; its choices are given by name, as plain values."""
        raise InvalidInputError(
            f"space {self.name!r} has stages of blocks; define {type(self).__name__}.block(channels_in, channels, "
            "stride, ...), with an argument for every choice."
        )

    def operation(self, operation: str, channels: int) -> nn.Module:
        """Builds the operation of a cell's edge, with as many output as input channels and stride 1."""
        raise InvalidInputError(
            f"space {self.name!r} has cells; define {type(self).__name__}.operation(operation, channels)."
        )

    def transition(self, channels_in: int, channels: int, stride: int) -> nn.Module:
        """Builds what brings the input of a cell to its channels and stride: a convolution, where they differ."""
        from torch import nn

        if channels_in == channels and stride == 1:
            return nn.Identity()
        return nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
        )

    def cell(self, cell: Cell, operations: Sequence[str], channels_in: int, channels: int, stride: int) -> nn.Module:
        """Builds a cell with these operations on its edges."""
        from gennas.spaces.parts.network import CellNetwork

        before = self.transition(channels_in, channels, stride)
        layers = [None if word == cell.absent else self.operation(word, channels) for word in operations]
        return CellNetwork(cell, layers, before)

    def __reduce__(self) -> tuple[type[PartsSpace], tuple[Any, ...]]:
        # What follows from the body is made anew in another process.
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @cached_property
    def layout(self) -> Layout:
        """The decisions of the body, and their places in the template.

        Raises:
            InvalidInputError: a body whose decisions depend on the settings of the network, or that is no body.
        """
        layout = Layout(self.body())
        if fields(self) and self != type(self)():
            usual = type(self)().layout
            if not _alike(usual.template, layout.template) or not Patterns(usual).equals(Patterns(layout)):
                raise InvalidInputError(
                    f"space {self.name!r}: the choices of body() depend on the settings {self.skeleton}; all settings "
                    "must have the same choices. Make another space for others."
                )
        return layout

    @cached_property
    def patterns(self) -> Patterns:
        """The archs as products of choices."""
        return Patterns(self.layout)

    @cached_property
    def notation(self) -> Notation:
        """Writes and reads keys."""
        return Notation(self.name, self.layout)

    @property
    def count(self) -> int:
        """Number of archs, exactly, before rules that the space adds."""
        return self.patterns.size

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        """See :class:`gennas.spaces.parts.notation.Notation`."""
        return self.notation.key(ops[1:-1])

    def read(self, key: str) -> PartialArch:
        """Parses a key; ``?`` in place of an option, a block or a depth leaves it undecided.

        Blocks of an undecided depth are all written.

        Raises:
            InvalidArchError: the string is malformed; the message names the defect.
        """
        ops = self.notation.read(key)
        words = (self.template.vocabulary[0], *ops, self.template.vocabulary[-1])
        return PartialArch(self.name, words, self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        """The arch with ``absent`` on those edges of cells from which no path leads to the output.

        Only in cells whose nodes have any number of inputs; override this where more archs compute the same. An edge
        that the input does not reach may carry the constants of a batch norm.
        """
        loose = [
            slot
            for slot, decision in enumerate(self.layout.decisions, start=1)
            if decision.cell is not None and decision.cell.absent is not None and decision.cell.inputs is None
        ]
        if not loose:
            return arch
        _, needed = self._reached(arch)
        ops = list(arch.ops)
        for slot in loose:
            cell = self.layout.decisions[slot - 1].cell
            if cell is not None and cell.absent is not None and ops[slot] != INACTIVE and not needed[slot]:
                ops[slot] = cell.absent
        return arch if tuple(ops) == arch.ops else self.arch(ops)

    @property
    def may_be_constant(self) -> bool:
        return any(d.cell is not None and d.cell.absent is not None for d in self.layout.decisions)

    def is_constant(self, arch: Arch) -> bool:
        """Whether no path connects input and output, so that the network ignores its input."""
        reached, _ = self._reached(arch)
        return not reached[-1]

    def _reached(self, arch: Arch) -> tuple[np.ndarray, np.ndarray]:
        """``(n,)`` which slots the input reaches, and which reach the output."""
        _, edges = self.dataflow(*self.arrays([arch]))
        n = len(arch.ops)
        reached, needed = np.zeros((2, n), bool)
        reached[0] = needed[-1] = True
        for j in range(1, n):
            reached[j] = (edges[0, :, j] & reached).any()
        for i in range(n - 2, -1, -1):
            needed[i] = (edges[0, i] & needed).any()
        return reached, needed

    def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which operation feeds which: absent edges of cells carry nothing, and inactive slots are passed by."""
        index = self.patterns.vocabulary
        edges = edges.copy()
        for slot, decision in enumerate(self.layout.decisions, start=1):
            if decision.cell is not None and decision.cell.absent is not None:
                cut = ops[:, slot] == index[decision.cell.absent]
                edges[cut, slot], edges[cut, :, slot] = False, False
            if self.layout.is_conditional(slot - 1):
                inactive = ops[:, slot] == index[INACTIVE]
                edges[inactive] |= edges[inactive, :, slot, None] & edges[inactive, slot, None]
                edges[inactive, slot], edges[inactive, :, slot] = False, False
        return ops, edges

    @property
    def has_rules(self) -> bool:
        """Whether choices may be inactive, nodes have a number of inputs, or the space has rules of its own."""
        return self.patterns.has_rules or self._has_own_rules

    @property
    def _has_own_rules(self) -> bool:
        return type(self).rule_problems is not Space.rule_problems

    def _number(self) -> int | None:
        """Number of archs, or None where they are too many to be enumerated."""
        if self.patterns.size > MOST_ENUMERATED:
            return None
        return len(self._graphs()[0]) if self._has_own_rules else self.patterns.size

    def broken_rules(self, arch: Arch) -> list[str]:
        """Choices that are active though nothing needs them, or inactive though something does, and nodes' inputs.

        And what :meth:`rule_problems` finds, which a subclass may define for rules of its own.
        """
        if self.patterns.keeps(np.array([[self.patterns.vocabulary[op] for op in arch.ops]]))[0]:
            return self.rule_problems(arch)
        ops, layout = arch.ops[1:-1], self.layout
        depths = {i: o for i, o in self._options(ops).items() if layout.decisions[i].is_depth}
        found = []
        for number, (decision, op) in enumerate(zip(layout.decisions, ops, strict=True)):
            active = not layout.is_conditional(number) or layout.is_active(number, depths)
            if active != (op != INACTIVE):
                what = "its block is absent" if op != INACTIVE else "its block is present"
                found.append(f"slot {decision.name} has operation {op!r}, but {what}")
        if not found:
            found = ["a node of a cell has a wrong number of inputs"]
        return found

    def keeps_rules(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return super().keeps_rules(ops, edges) if self._has_own_rules else self.patterns.keeps(ops)

    def probabilities(self, ops: np.ndarray) -> np.ndarray | None:
        """See :meth:`gennas.spaces.Space.probabilities`; before rules of the space's own, which none of it knows."""
        return self.patterns.probabilities(ops)

    @property
    def is_exact(self) -> bool:
        """Whether archs are drawn without a trained generator: where the space has no rules of its own."""
        return not self._has_own_rules

    @property
    def binds(self) -> np.ndarray:
        return self.layout.binds

    def settled(self, ops: np.ndarray, edges: np.ndarray, slot: int | None) -> tuple[np.ndarray, np.ndarray]:
        settled = self.patterns.settled(ops, slot)
        return (ops, edges) if settled is ops else (settled, self._edges(len(settled)))

    def enumerate(self) -> Iterator[Arch]:
        ops, _ = self.enumerate_graphs()
        vocabulary = np.array(self.template.vocabulary, dtype=object)
        for row in vocabulary[ops]:
            yield Arch(
                self.name, self.key(tuple(row), self.template.fixed_edges), tuple(row), self.template.fixed_edges
            )

    def enumerate_graphs(self) -> tuple[np.ndarray, np.ndarray]:
        if self.size is None:
            raise InvalidInputError(f"space {self.name!r} has {self.count:.3g} archs; sample from it instead.")
        return self._graphs()

    def _graphs(self) -> tuple[np.ndarray, np.ndarray]:
        ops = self.patterns.all()
        edges = self._edges(len(ops))
        if not self._has_own_rules:
            return ops, edges
        keeps = self.keeps_rules(ops, edges)
        return ops[keeps], edges[keeps]

    def _edges(self, count: int) -> np.ndarray:
        n = len(self.template.slots)
        edges = np.zeros((n, n), bool)
        edges[tuple(np.array(self.template.fixed_edges).T)] = True
        return np.repeat(edges[None], count, axis=0)

    def sample(self, rng: np.random.Generator) -> Arch:
        """Draws an arch uniformly from all archs: deep stages have more archs than shallow ones, and come more often.

        Raises:
            InvalidArchError: 10,000 draws in a row broke a rule that the space adds.
        """
        template = self.template
        for _ in range(10_000):
            ops = tuple(template.vocabulary[op] for op in self.patterns.draw(rng))
            if not self._has_own_rules or not self.rule_problems(Arch(self.name, "", ops, template.fixed_edges)):
                return Arch(self.name, self.key(ops, template.fixed_edges), ops, template.fixed_edges)
        raise InvalidArchError(
            f"space {self.name!r}: 10,000 uniform draws all broke its rules; override {type(self).__name__}.sample()."
        )

    def costs(self, arch: Arch, task: Task) -> dict[str, float]:
        """Exact ``params_m`` and ``macs_m`` (both in millions), counted on the modules of the network.

        Raises:
            InvalidInputError: a module does not take its input, or does not return what it is to return.
        """
        params, macs = self._cost_terms(task).costs.of(self._options(arch.ops[1:-1]))
        return {"params_m": params / 1e6, "macs_m": macs / 1e6}

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]] | None:
        return self._cost_terms(task).tables if self._is_counted else None

    def cost_terms(self, task: Task) -> dict[str, tuple[float, list[CostTerm]]] | None:
        return self._cost_terms(task).terms if self._is_counted else None

    @property
    def _is_counted(self) -> bool:
        """Whether costs are those of the modules: neither :meth:`costs` nor, with cells, :meth:`cell` is overridden."""
        has_cells = any(decision.cell is not None for decision in self.layout.decisions)
        cells_are_ours = type(self).cell is PartsSpace.cell or not has_cells
        return type(self).costs is PartsSpace.costs and cells_are_ours

    def _cost_terms(self, task: Task) -> CostTerms:
        from gennas.spaces.parts.costs import BlockCosts
        from gennas.spaces.parts.terms import CostTerms

        # Where archs choose the size of images, that of the task's own costs nothing.
        key = (task.input_shape if self.layout.size is None else task.input_shape[:1], task.num_classes)
        if key not in self._counted:
            self._counted[key] = CostTerms(self, self.patterns, BlockCosts(self, self.layout, task))
        return self._counted[key]

    @cached_property
    def _counted(self) -> dict[object, CostTerms]:
        return {}

    def options_of(self, ops: np.ndarray) -> dict[int, Option]:
        """The options of the active decisions of ``(n,)`` indices into the vocabulary."""
        vocabulary = self.template.vocabulary
        return self._options([vocabulary[op] for op in ops[1:-1]])

    def _options(self, ops: Sequence[str]) -> dict[int, Option]:
        """The options of the active decisions."""
        return {
            number: decision.choice.options[decision.tokens.index(op)]
            for number, (decision, op) in enumerate(zip(self.layout.decisions, ops, strict=True))
            if op != INACTIVE
        }

    def block_words(self, arch: Arch) -> list[str]:
        """The choices of every block, e.g. ``kernel 5, expansion 6``; the channels are seen in the shapes."""
        from gennas.spaces.parts.network import value_of

        options = self._options(arch.ops[1:-1])
        words = [""] if self.layout.size is None else ["", ""]
        for planned in self.layout.stages:
            for number in range(int(value_of(planned.depth, options))):
                named = planned.blocks[number].items()
                chosen = [(name, options[own.decision]) for name, own in named if isinstance(own, Ref)]
                words.append(", ".join(f"{name.replace('_', ' ')} {own}" for name, own in chosen if name != "channels"))
        return [*words, ""]

    def build(self, arch: Arch, task: Task) -> nn.Module:
        """Builds the network: ``(batch, channels, height, width) -> (batch, classes)`` logits."""
        from torch import nn

        from gennas.spaces.parts.network import Resized, calls, value_of

        options = self._options(arch.ops[1:-1])
        modules: list[nn.Module] = []
        if self.layout.size is not None:
            modules.append(Resized(int(value_of(self.layout.size, options))))
        stem, channels = self.stem(task)
        modules.append(stem)
        for call in calls(self, self.layout, options, channels):
            modules.append(call.built())
            channels = call.channels
        return nn.Sequential(*modules, self.head(channels, task))


def _alike(first: Template, second: Template) -> bool:
    words = (first.slots, first.vocabulary) == (second.slots, second.vocabulary)
    values = [np.array(()) if template.values is None else template.values for template in (first, second)]
    return (
        words
        and np.array_equal(first.allowed, second.allowed)
        and np.array_equal(first.edges, second.edges)
        and np.array_equal(values[0], values[1], equal_nan=True)
    )


def _absent(layout: Layout) -> str | None:
    if any(layout.is_conditional(number) for number in range(len(layout.decisions))):
        return INACTIVE
    cells: Mapping[str | None, None] = dict.fromkeys(d.cell.absent for d in layout.decisions if d.cell is not None)
    return next(iter(cells), None)
