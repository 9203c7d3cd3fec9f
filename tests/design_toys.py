"""A task small enough for whole designs, and an effort of as little as there can be."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gennas.arch import Arch
from gennas.design import Effort
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.tasks import ImageSource, Split, Splits, Task

#: Of everything as little as there can be.
LITTLE = Effort(
    ("tiny_lite",), pixels=32, adapting=1, sharing=1, views=1, scored=6, timed=5, trained=2, epochs=1
)  # fmt: skip


@dataclass(frozen=True)
class Colours(ImageSource):
    """Noise around one colour per class."""

    each: int = 12
    side: int = 32

    def read(self, seed: int) -> Splits:
        rng = np.random.default_rng(0)

        def split(each: int) -> Split:
            labels = np.repeat(np.arange(3), each)
            images = rng.normal(100, 40, (len(labels), 3, self.side, self.side))
            images[np.arange(len(labels)), labels] += 60
            return Split(images.clip(0, 255).astype(np.uint8), labels)

        return Splits(split(self.each), split(4), split(5))


def colours(each: int = 12) -> Task:
    """Three classes, with 12 validation and 15 test images."""
    return Task("colours", (3, 32, 32), 3, ("red", "green", "blue"), Colours(each))


def some(space: ElasticSpace, count: int = 20) -> list[Arch]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


class Interrupted(Exception):
    """In place of a signal."""


class Interruptions:
    """Counts the calls of functions, and interrupts one of them.

    Args:
        patch: undoes it in the end.

    Attributes:
        done: name of a function -> calls that ended.
        dies: name of a function -> after how many of them the next call is interrupted, once.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.done: Counter[str] = Counter()
        self.dies: dict[str, int] = {}

    def watch(self, module: Any, name: str) -> None:
        """Counts the calls of a function of a module."""
        inner: Callable[..., Any] = getattr(module, name)

        def outer(*given: Any, **options: Any) -> Any:
            if self.dies.get(name) == self.done[name]:
                self.dies.clear()
                raise Interrupted(name)
            result = inner(*given, **options)
            self.done[name] += 1
            return result

        self.patch.setattr(module, name, outer)
