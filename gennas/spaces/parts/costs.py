"""Costs of archs that are composed of parts, counted block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from gennas.errors import GennasError, InvalidInputError
from gennas.spaces.counting import Counts, count
from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.layout import Layout
from gennas.spaces.parts.network import Call, calls, value_of
from gennas.user_files import failure_of

if TYPE_CHECKING:
    from gennas.spaces.parts.space import PartsSpace
    from gennas.tasks import Task


class BlockCosts:
    """Counts the modules of networks for one task; equal modules on equal inputs are counted once.

    Args:
        space: builds the modules.
        layout: of the space.
        task: sizes the networks.
    """

    def __init__(self, space: PartsSpace, layout: Layout, task: Task) -> None:
        self.space, self.layout, self.task = space, layout, task
        self._counts: dict[tuple[object, tuple[int, ...]], Counts] = {}
        # Initial weights of networks must not depend on what was counted before.
        with torch.random.fork_rng(devices=[]):
            found = space.stem(task)
        if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], int)):
            raise InvalidInputError(
                f"space {space.name!r}: stem() returns {type(found).__name__}; expected the module and its channels, "
                "e.g. return nn.Conv2d(task.channels, 16, 3), 16."
            )
        self.channels = found[1]

    def of(self, options: Mapping[int, Option]) -> tuple[int, float]:
        """Parameters and multiply-adds of the network with these options of the active decisions."""
        found = self.counts(options)
        return sum(part.params for part in found), sum(part.macs for part in found)

    def counts(self, options: Mapping[int, Option]) -> list[Counts]:
        """The counts of the stem, of every block, and of the head."""
        found, width = [self._stem(options)], self.channels
        for call in calls(self.space, self.layout, options, self.channels):
            found.append(self.of_call(call, found[-1].shape))
            width = call.channels
        shape = found[-1].shape
        head = self._counted(("head", width), lambda: self.space.head(width, self.task), shape, "head()")
        if head.shape != (self.task.num_classes,):
            raise self._error("head()", shape, head.shape, f"logits of {self.task.num_classes} classes")
        return [*found, head]

    def _stem(self, options: Mapping[int, Option]) -> Counts:
        shape, size = tuple(self.task.input_shape), self.layout.size
        if size is not None:
            side = int(value_of(size, options))
            shape = (shape[0], side, side)
        stem = self._counted(("stem",), lambda: self.space.stem(self.task)[0], shape, "stem()")
        if len(stem.shape) == 3 and stem.shape[0] != self.channels:
            raise self._error("stem()", shape, stem.shape, f"the {self.channels} channels it states")
        return stem

    def of_call(self, call: Call, shape: tuple[int, ...]) -> Counts:
        """The counts of one module on an input of this shape."""
        found = self._counted((call.make, call.given, call.choices), call.built, shape, call)
        # What is no image, such as a sequence of tokens, has its channels elsewhere.
        if len(found.shape) == 3 and found.shape[0] != call.channels:
            raise self._error(str(call), shape, found.shape, f"{call.channels} channels")
        return found

    def _counted(self, identity: object, make: Callable[[], nn.Module], shape: tuple[int, ...], what: object) -> Counts:
        key = (identity, shape)
        if key not in self._counts:
            try:
                self._counts[key] = count(make, shape, self.space.counted_beside)
            except GennasError:
                raise
            except Exception as error:
                # Whatever the user's own code raises.
                reason = (
                    str(error).splitlines()[0] if isinstance(error, RuntimeError) and str(error) else failure_of(error)
                )
                raise InvalidInputError(
                    f"space {self.space.name!r}: the module of {what} fails on an input of shape {shape}: {reason}"
                ) from error
        return self._counts[key]

    def _error(self, what: str, shape: tuple[int, ...], found: tuple[int, ...], expected: str) -> InvalidInputError:
        return InvalidInputError(
            f"space {self.space.name!r}: the module of {what} makes {found} of an input of shape {shape}; "
            f"expected {expected}."
        )
