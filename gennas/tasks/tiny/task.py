"""A tiny task: its kind, what its images are, and the task made of them."""

from __future__ import annotations

from dataclasses import dataclass

from gennas.tasks.base import Task, shape_text
from gennas.tasks.tiny.changes import Change
from gennas.tasks.tiny.drawing import SIDE, Origin
from gennas.tasks.tiny.source import TinyImages

_SHAPE = (3, SIDE, SIDE)


@dataclass(frozen=True)
class TinyTask:
    """Makes a tiny task; nothing is drawn before its images are asked for.

    Attributes:
        kind: what the images show, in a word; tasks of one kind differ in how hard they are, and in what is done to
            the images.
        variant: a word for that.
        origin: see :class:`TinyImages`, as the others.
        train: number of training images.
        changes: what is done to the images.
        wrong: share of wrong training labels.
    """

    kind: str
    variant: str
    origin: Origin
    train: int
    changes: tuple[Change, ...] = ()
    wrong: float = 0.0

    @property
    def name(self) -> str:
        """``tiny-KIND-VARIANT``."""
        return f"tiny-{self.kind}-{self.variant}"

    @property
    def description(self) -> str:
        """One line, see :func:`gennas.tasks.describe_task`."""
        wrong = f", {self.wrong:.0%} of their labels wrong" if self.wrong else ""
        return f"{self.origin.classes} classes, {shape_text(_SHAPE)}, {self.train} training images{wrong}"

    def __call__(self) -> Task:
        if not self.origin.found():
            return Task(self.name, _SHAPE, self.origin.classes, hint=self.origin.hint)
        images = TinyImages(self.name, self.origin, self.train, self.changes, self.wrong)
        names = tuple(str(label) for label in range(self.origin.classes))
        return Task(self.name, _SHAPE, self.origin.classes, names, images)
