"""Notation: keys of archs that are composed of parts, such as ``chain:2.3/k3e6-k5e3-k3e3-k7e6-k5e6``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gennas.errors import InvalidArchError
from gennas.spaces.parts.choice import Choice
from gennas.spaces.parts.layout import INACTIVE, Layout, Ref

UNDECIDED = "?"


@dataclass(frozen=True)
class _Field:
    """One of the parts of a key that ``/`` separates: decisions in groups, the groups separated by a character.

    Attributes:
        what: it is, in words.
        separator: of the groups.
        groups: the decisions that are written as one word.
    """

    what: str
    separator: str
    groups: tuple[tuple[int, ...], ...]


class Notation:
    """Writes and reads the keys of a layout.

    After the name and a colon come, separated by ``/``: every choice that is made once; the depths, separated by dots;
    every choice that is made per stage, and then all that are made per block, separated by hyphens; and every cell,
    the nodes separated by ``|``, their inputs by ``+``. What is inactive is left out. Numbers follow the shortest
    beginning of their choice's name that tells it from the others; words stand for themselves.

    Args:
        name: of the space.
        layout: its decisions.
    """

    def __init__(self, name: str, layout: Layout) -> None:
        self.name, self.layout = name, layout
        self.fields = list(self._fields())
        self._patterns = {
            group: self._pattern(group) for field in self.fields if field.separator != "|" for group in field.groups
        }

    def _fields(self) -> Iterator[_Field]:
        decisions = self.layout.decisions
        for number, decision in enumerate(decisions):
            if decision.choice.per == "space" and not decision.is_depth and decision.cell is None:
                yield _Field(decision.name, "-", ((number,),))
        if depths := [number for number, decision in enumerate(decisions) if decision.is_depth]:
            yield _Field("depth of every stage", ".", tuple((number,) for number in depths))
        staged: dict[str, list[int]] = {}
        blocks: dict[tuple[int, int], list[int]] = {}
        for number, decision in enumerate(decisions):
            if decision.block:
                blocks.setdefault((decision.stage, decision.block), []).append(number)
            elif decision.choice.per == "stage" and not decision.is_depth:
                staged.setdefault(decision.choice.name, []).append(number)
        for name, numbers in staged.items():
            yield _Field(f"{name} of every stage", "-", tuple((number,) for number in numbers))
        if blocks:
            yield _Field("block", "-", tuple(map(tuple, blocks.values())))
        cells: dict[int, dict[int, list[int]]] = {}
        for number, decision in enumerate(decisions):
            if decision.cell is not None and decision.edge is not None:
                cells.setdefault(id(decision.cell), {}).setdefault(decision.edge[1], []).append(number)
        for nodes in cells.values():
            cell = decisions[next(iter(nodes.values()))[0]].cell
            assert cell is not None
            yield _Field(f"node of cell {cell.name}", "|", tuple(map(tuple, nodes.values())))

    def key(self, ops: Sequence[str]) -> str:
        """The key of ``d`` operations, one for each decision."""
        fields = []
        for field in self.fields:
            groups = [self._word(field, group, ops) for group in field.groups]
            fields.append(field.separator.join(word for word in groups if word is not None))
        return f"{self.name}:{'/'.join(fields)}"

    def _word(self, field: _Field, group: tuple[int, ...], ops: Sequence[str]) -> str | None:
        """What stands for a group; None where it is inactive."""
        own = [ops[number] for number in group]
        # All decisions of a group belong to the same blocks.
        if own[0] == INACTIVE:
            return None
        decisions = [self.layout.decisions[number] for number in group]
        if field.separator == "|":
            inputs = [
                f"{op}~{decision.edge[0]}"
                for op, decision in zip(own, decisions, strict=True)
                if decision.edge is not None and op != self._left_out(group)
            ]
            return "+".join(inputs)
        if decisions[0].is_depth:
            return own[0].removeprefix(self._prefix(decisions[0].choice))
        joint = "" if all(decision.choice.is_number for decision in decisions) else "."
        return joint.join(own)

    def _left_out(self, group: tuple[int, ...]) -> str | None:
        """The operation that is not written: where nodes have a number of inputs, the absent one."""
        cell = self.layout.decisions[group[0]].cell
        return cell.absent if cell is not None and cell.inputs is not None else None

    def _prefix(self, choice: Choice) -> str:
        return self.layout.prefixes[choice.name] if choice.is_number else ""

    def read(self, key: str) -> list[str | None]:
        """The operations of a key, one for each decision; None where it says ``?``.

        Raises:
            InvalidArchError: the key is malformed; the message names the defect.
        """
        name, colon, rest = key.strip().partition(":")
        if not colon or name != self.name:
            raise InvalidArchError(f"{key!r} is not an arch of {self.name}; expected e.g. {self.example()!r}.")
        texts = rest.split("/")
        if len(texts) != len(self.fields):
            raise InvalidArchError(
                f"{key!r} has {len(texts)} parts between slashes; expected {len(self.fields)}, e.g. {self.example()!r}."
            )
        ops: dict[int, str | None] = {}
        # Depths first: they tell which others are there.
        order = sorted(range(len(texts)), key=lambda row: not self._is_depths(self.fields[row]))
        for row in order:
            self._read_field(key, self.fields[row], texts[row], ops)
        return [ops[number] for number in range(len(self.layout.decisions))]

    def _is_depths(self, field: _Field) -> bool:
        return self.layout.decisions[field.groups[0][0]].is_depth

    def _read_field(self, key: str, field: _Field, text: str, ops: dict[int, str | None]) -> None:
        groups = []
        for group in field.groups:
            if self._active(group[0], ops) is False:
                ops.update(dict.fromkeys(group, INACTIVE))
            else:
                groups.append(group)
        words = text.split(field.separator) if text or groups else []
        if len(words) != len(groups):
            raise InvalidArchError(
                f"{key!r}: {text!r} has {len(words)} of {field.what}; expected {len(groups)}, e.g. {self.example()!r}."
            )
        for group, word in zip(groups, words, strict=True):
            ops.update(zip(group, self._read_word(key, field, group, word, ops), strict=True))

    def _active(self, decision: int, ops: dict[int, str | None]) -> bool | None:
        """Whether a decision is active; None where undecided depths leave it open."""
        if not self.layout.is_conditional(decision):
            return True
        states = []
        for depth, before in self.layout.decisions[decision].uses:
            assert isinstance(depth, Ref)
            op, own = ops[depth.decision], self.layout.decisions[depth.decision]
            states.append(None if op is None else int(own.choice.options[own.tokens.index(op)]) > before)
        return True if True in states else None if None in states else False

    def _read_word(
        self, key: str, field: _Field, group: tuple[int, ...], word: str, ops: dict[int, str | None]
    ) -> list[str | None]:
        if word == UNDECIDED:
            return [None] * len(group)
        if field.separator == "|":
            return self._read_node(key, field, group, word)
        match = self._patterns[group].fullmatch(word)
        if match is None:
            raise InvalidArchError(f"{key!r}: {word!r} is not a valid {field.what}; expected {self._forms(group)}.")
        return [
            None if text == UNDECIDED else self._prefix(self.layout.decisions[number].choice) + text
            for number, text in zip(group, match.groups(), strict=True)
        ]

    def _pattern(self, group: tuple[int, ...]) -> re.Pattern[str]:
        choices = [self.layout.decisions[number].choice for number in group]
        written = [
            ("" if self.layout.decisions[group[0]].is_depth else re.escape(self._prefix(choice)))
            + f"({'|'.join(map(re.escape, (*choice.texts, UNDECIDED)))})"
            for choice in choices
        ]
        return re.compile((r"\." if any(not choice.is_number for choice in choices) else "").join(written))

    def _forms(self, group: tuple[int, ...]) -> str:
        """The words that a group may be, for messages."""
        decisions = [self.layout.decisions[number] for number in group]
        parts = []
        for decision in decisions:
            prefix = "" if decision.is_depth else self._prefix(decision.choice)
            parts.append(f"{prefix}{'|'.join((*decision.choice.texts, UNDECIDED))}")
        joint = "." if any(not decision.choice.is_number for decision in decisions) else " and "
        return joint.join(parts)

    def _read_node(self, key: str, field: _Field, group: tuple[int, ...], word: str) -> list[str | None]:
        left_out = self._left_out(group)
        found: dict[int, str | None] = {}
        for part in word.split("+"):
            op, tilde, source = part.partition("~")
            rows = [row for row, n in enumerate(group) if str((self.layout.decisions[n].edge or (0,))[0]) == source]
            tokens = (*self.layout.decisions[group[0]].tokens, UNDECIDED)
            if not tilde or not rows or op not in tokens or rows[0] in found:
                raise InvalidArchError(
                    f"{key!r}: {word!r} is not a valid {field.what}; expected OPERATION~SOURCE joined by '+', every "
                    f"source once, from 0 to {len(group) - 1}; operations: {', '.join(tokens)}."
                )
            found[rows[0]] = None if op == UNDECIDED else op
        missing = [row for row in range(len(group)) if row not in found]
        if missing and left_out is None:
            raise InvalidArchError(f"{key!r}: {word!r} lacks source {missing[0]}; expected {len(group)} inputs.")
        return [found.get(row, left_out) for row in range(len(group))]

    def example(self) -> str:
        """A key of the greatest depths and first options."""
        decisions = self.layout.decisions
        ops = [decision.tokens[-1 if decision.is_depth else 0] for decision in decisions]
        for number, decision in enumerate(decisions):
            if decision.is_depth:
                ops[number] = decision.tokens[decision.choice.options.index(max(decision.choice.options))]
            elif decision.cell is not None and decision.cell.inputs is not None and decision.edge is not None:
                used = next(token for token in decision.tokens if token != decision.cell.absent)
                ops[number] = used if decision.edge[0] < decision.cell.inputs else str(decision.cell.absent)
        return self.key(ops)
