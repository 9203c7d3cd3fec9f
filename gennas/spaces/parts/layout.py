"""Layout: the decisions that a body makes, their places in the template, and when they are active."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gennas.errors import InvalidInputError
from gennas.spaces.parts.choice import RESERVED, Choice, Option
from gennas.spaces.parts.stage import Cell, Resize, Stage, Value
from gennas.spaces.template import FIXED, Template

#: The operation of a slot whose choice is inactive.
INACTIVE = "-"


@dataclass(frozen=True)
class Ref:
    """A value of a network that is the option of a decision."""

    decision: int


#: What a network is built with: an option of a decision, or a constant.
Source = Ref | Option


@dataclass(eq=False)
class Decision:
    """One free slot.

    Attributes:
        choice: its options.
        stage: number of the first stage that names it, from 1; 0 outside of stages.
        block: number of its block, from 1; 0 where it is not of one block.
        uses: the blocks that need it, as (depth of their stage, number of blocks before); active where one is present.
        is_depth: whether it is the depth of a stage.
        cell: the cell, of which it is ``edge``.
        name: the name of its slot.
        tokens: the operations of its slot, one for each option.
    """

    choice: Choice
    stage: int
    block: int
    uses: list[tuple[Source, int]] = field(default_factory=list)
    is_depth: bool = False
    cell: Cell | None = None
    edge: tuple[int, int] | None = None
    name: str = ""
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PlannedStage:
    """A stage whose choices are decisions.

    Attributes:
        stage: as it was declared.
        depth: number of blocks.
        stride: of the first block.
        blocks: the arguments of every possible block by name, ``channels`` among them.
        cell: the decisions of its cell's edges; empty without a cell.
    """

    stage: Stage
    depth: Source
    stride: Source
    blocks: tuple[dict[str, Source], ...]
    cell: tuple[int, ...]


class Layout:
    """The decisions of a body, in the order of their slots.

    Args:
        body: its parts, in the order of the network.

    Attributes:
        decisions: one for each free slot; slot ``i + 1`` of the template belongs to decision ``i``.
        stages: the stages, whose choices refer to the decisions.
        size: the side of the images that the network is given, or None where they stay as they are.
        template: the template of the space.
        prefixes: name of a choice of numbers -> the letters before its numbers.

    Raises:
        InvalidInputError: a body that is no body, or names and words that cannot be told apart.
    """

    def __init__(self, body: Iterable[object]) -> None:
        self.decisions: list[Decision] = []
        self._found: dict[tuple[int, ...], int] = {}
        #: Slots that follow each other: a decision alone, or the edges of a cell.
        self._elements: list[tuple[Cell | None, tuple[int, ...]]] = []
        # Choices are told apart by their identity, so none may be freed before the last is seen.
        self.parts = list(body)
        self.size: Source | None = None
        self.stages: list[PlannedStage] = []
        for part in self.parts:
            if isinstance(part, Stage):
                self.stages.append(self._planned(part))
            elif isinstance(part, Resize) and self.size is None and not self.stages:
                self.size = self._source(part.size, 0, 0, (1, 0))
            elif isinstance(part, Resize):
                raise InvalidInputError("body(): images are resized once, before the first stage.")
            else:
                raise InvalidInputError(f"body(): yields {part!r}; expected Stage or Resize.")
        if not self.stages or not self.decisions:
            raise InvalidInputError("body(): there is nothing to decide; expected stages with a Choice or a Cell.")
        self.prefixes = _prefixes({d.choice.name for d in self.decisions if d.choice.is_number})
        self._name()
        self.template = self._template()

    def _planned(self, stage: Stage) -> PlannedStage:
        number = len(self.stages) + 1
        depth = self._source(stage.depth, number, 0, (1, 0), is_depth=True)
        stride = self._source(stage.stride, number, 0, (depth, 0))
        values: dict[str, Value] = {"channels": stage.channels, **stage.choices}
        blocks = tuple(
            {name: self._source(value, number, block + 1, (depth, block)) for name, value in values.items()}
            for block in range(stage.deepest)
        )
        cell = self._cell(stage.block, number, (depth, 0)) if isinstance(stage.block, Cell) else ()
        return PlannedStage(stage, depth, stride, blocks, cell)

    def _source(
        self, value: Value, stage: int, block: int, use: tuple[Source, int], *, is_depth: bool = False
    ) -> Source:
        """The decision that a value is, added where it is new; a constant as it is."""
        if not isinstance(value, Choice):
            return value
        key = {"space": (id(value),), "stage": (id(value), stage), "block": (id(value), stage, block)}[value.per]
        if key not in self._found:
            self._found[key] = len(self.decisions)
            own = Decision(value, stage, block if value.per == "block" else 0, is_depth=is_depth)
            self._elements.append((None, (len(self.decisions),)))
            self.decisions.append(own)
        decision = self.decisions[self._found[key]]
        decision.uses.append(use)
        if decision.is_depth != is_depth:
            raise InvalidInputError(f"choice {value.name!r} is a depth and something else; make two choices.")
        return Ref(self._found[key])

    def _cell(self, cell: Cell, stage: int, use: tuple[Source, int]) -> tuple[int, ...]:
        if (id(cell),) not in self._found:
            first = self._found[id(cell),] = len(self.decisions)
            self.decisions += [Decision(cell.choice, stage, 0, cell=cell, edge=edge) for edge in cell.edges]
            self._elements.append((cell, tuple(range(first, len(self.decisions)))))
        first = self._found[id(cell),]
        own = tuple(range(first, first + len(cell.edges)))
        for decision in own:
            self.decisions[decision].uses.append(use)
        return own

    def _name(self) -> None:
        bare = [d.choice.name for d in self.decisions if d.cell is None and d.choice.per == "space"]
        for decision in self.decisions:
            name = decision.choice.name
            if decision.edge is not None:
                decision.name = f"{name}.{decision.edge[0]}->{decision.edge[1]}"
            elif decision.block:
                decision.name = f"{name}.{decision.stage}.{decision.block}"
            elif decision.choice.per == "stage" or bare.count(name) > 1:
                decision.name = f"{name}.{decision.stage}"
            else:
                decision.name = name
            prefix = self.prefixes.get(name, "") if decision.choice.is_number else ""
            decision.tokens = tuple(prefix + text for text in decision.choice.texts)
        names = [decision.name for decision in self.decisions]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInputError(f"body(): {names.count(name)} decisions are called {name!r}; rename a choice.")
        meanings: dict[str, bool] = {}
        for decision in self.decisions:
            for token in decision.tokens:
                if meanings.setdefault(token, decision.choice.is_number) != decision.choice.is_number:
                    raise InvalidInputError(f"body(): {token!r} is a word and a number of a choice; rename one.")

    def _template(self) -> Template:
        tokens = dict.fromkeys(token for decision in self.decisions for token in decision.tokens)
        inactive = (INACTIVE,) if any(map(self.is_conditional, range(len(self.decisions)))) else ()
        vocabulary = (RESERVED[0], *tokens, *inactive, RESERVED[1])
        n, index = len(self.decisions) + 2, {word: i for i, word in enumerate(vocabulary)}
        allowed, values = np.zeros((n, len(vocabulary)), bool), np.full((n, len(vocabulary)), np.nan)
        allowed[0, 0] = allowed[-1, -1] = True
        for slot, decision in enumerate(self.decisions, start=1):
            columns = [index[token] for token in decision.tokens]
            allowed[slot, columns] = True
            if decision.choice.is_number:
                values[slot, columns] = [float(option) for option in decision.choice.options]
            if self.is_conditional(slot - 1):
                allowed[slot, index[INACTIVE]] = True
        slots = (RESERVED[0], *(decision.name for decision in self.decisions), RESERVED[1])
        return Template(slots, vocabulary, allowed, self._edges(n), None if np.isnan(values).all() else values)

    def _edges(self, n: int) -> np.ndarray:
        edges, leaving = np.zeros((n, n), np.int8), [0]
        for cell, decisions in self._elements:
            entering = after = [decision + 1 for decision in decisions]
            if cell is not None:
                pairs = list(zip(cell.edges, after, strict=True))
                for (_, middle), slot in pairs:
                    for (source, _), other in pairs:
                        if source == middle:
                            edges[slot, other] = FIXED
                entering = [slot for (source, _), slot in pairs if source == 0]
                after = [slot for (_, target), slot in pairs if cell.is_output(target)]
            edges[np.ix_(leaving, entering)] = FIXED
            leaving = after
        edges[leaving, n - 1] = FIXED
        return edges

    @cached_property
    def binds(self) -> np.ndarray:
        """See :attr:`gennas.spaces.Space.binds`: a depth and what may be inactive with it, and the inputs of a node."""
        binds = np.zeros((len(self.template.slots),) * 2, bool)
        for number, decision in enumerate(self.decisions):
            if self.is_conditional(number):
                binds[[depth.decision + 1 for depth, _ in decision.uses if isinstance(depth, Ref)], number + 1] = True
            if decision.cell is not None and decision.cell.inputs is not None and decision.edge is not None:
                for other, theirs in enumerate(self.decisions):
                    if theirs.cell is decision.cell and theirs.edge and theirs.edge[1] == decision.edge[1]:
                        binds[number + 1, other + 1] = other != number
        return binds

    def is_conditional(self, decision: int) -> bool:
        """Whether a decision is inactive in some archs."""
        # Constant depths never leave out a block.
        uses = self.decisions[decision].uses
        return all(isinstance(depth, Ref) and self.least(depth) <= before for depth, before in uses)

    def least(self, depth: Source) -> int:
        """The least number of blocks that a depth may be."""
        return min(map(int, self.decisions[depth.decision].choice.options)) if isinstance(depth, Ref) else int(depth)

    def is_active(self, decision: int, option_of: dict[int, Option]) -> bool:
        """Whether a decision is active, given the options of the depths."""
        return any(
            not isinstance(depth, Ref) or int(option_of[depth.decision]) > before
            for depth, before in self.decisions[decision].uses
        )


def _prefixes(names: set[str]) -> dict[str, str]:
    """The shortest beginnings by which names can be told apart."""
    found = {}
    for name in names:
        others = names - {name}
        lengths = (n for n in range(1, len(name)) if not any(other.startswith(name[:n]) for other in others))
        found[name] = name[: next(lengths, len(name))]
    return found
