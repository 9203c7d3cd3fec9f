"""Choice: one of several options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gennas.errors import InvalidInputError

#: How many decisions a choice makes: one, one for every stage, or one for every block.
Per = Literal["space", "stage", "block"]
Option = int | float | str

_NAME = re.compile(r"[A-Za-z][A-Za-z_]*")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
#: Operations of the slots around and beside the choices.
RESERVED = ("input", "output")


@dataclass(frozen=True, eq=False)
class Choice:
    """A decision between options. The same object is the same decision wherever it is named.

    :meth:`per_stage` and :meth:`per_block` make one decision of every stage or block it is named in.

    Args:
        name: letters and underscores, e.g. ``kernel``.
        options: distinct numbers, whose order and distance count, or words of letters, digits and underscores.
            Networks are built with the options as they are given; True and False are written 1 and 0.

    Raises:
        InvalidInputError: a name or an option that cannot be written in a key, or fewer than two options.
    """

    name: str
    options: Sequence[Option]
    per: Per = "space"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name in RESERVED:
            raise InvalidInputError(
                f"{self.name!r} cannot be the name of a choice; expected letters and underscores, e.g. 'kernel', other "
                f"than {' and '.join(RESERVED)}."
            )
        if isinstance(self.options, str) or not isinstance(self.options, Sequence):
            raise InvalidInputError(f"choice {self.name!r} has options {self.options!r}; expected e.g. (3, 5, 7).")
        object.__setattr__(self, "options", tuple(self.options))
        if len(self.options) < 2:
            raise InvalidInputError(
                f"choice {self.name!r} has options {self.options!r}; expected two or more. What is no choice is given "
                "as a plain value."
            )
        numbers = [isinstance(option, int | float) for option in self.options]
        if any(numbers) and not all(numbers):
            raise InvalidInputError(f"choice {self.name!r} mixes numbers and words: {self.options!r}.")
        for option in self.options:
            self._check(option)
        if len(set(self.texts)) < len(self.texts):
            raise InvalidInputError(
                f"choice {self.name!r} has options that are written alike: {', '.join(self.texts)}; they must differ."
            )

    def _check(self, option: Option) -> None:
        if isinstance(option, int | float):
            # An exponent or a sign would be read as letters of a name, or as the next block.
            if not re.fullmatch(r"\d+(\.\d+)?", _text(option)):
                raise InvalidInputError(
                    f"choice {self.name!r} has option {option!r}; expected numbers from 0 that are written without an "
                    "exponent, e.g. 1.25."
                )
        elif not isinstance(option, str) or not _WORD.fullmatch(option) or option in RESERVED:
            raise InvalidInputError(
                f"choice {self.name!r} has option {option!r}; expected numbers, or words of letters, digits and "
                f"underscores other than {' and '.join(RESERVED)}. A function is looked up by such a word when the "
                "network is built."
            )

    @property
    def is_number(self) -> bool:
        """Whether its options are numbers."""
        return not isinstance(self.options[0], str)

    @property
    def texts(self) -> tuple[str, ...]:
        """Its options as they are written."""
        return tuple(map(_text, self.options))

    def per_stage(self) -> Choice:
        """A choice that is made anew in every stage that names it."""
        return replace(self, per="stage")

    def per_block(self) -> Choice:
        """A choice that is made anew in every block of every stage that names it."""
        return replace(self, per="block")


def _text(option: Option) -> str:
    if isinstance(option, str):
        return option
    return str(int(option)) if isinstance(option, bool) else f"{option:.12g}"
