"""HeldImages: a task's images, read once and held for as long as they are needed."""

from __future__ import annotations

from dataclasses import replace

from gennas.tasks import ImageSource, Splits, Task


class HeldImages(ImageSource):
    """The images of another source, read once: of many tasks, a process remembers only those of the last few.

    Args:
        source: reads them.
    """

    is_in_memory = True

    def __init__(self, source: ImageSource) -> None:
        self.source, self.targets, self.resizing = source, source.targets, source.resizing
        self._splits: dict[int, Splits] = {}

    def unreadable(self) -> tuple[str, ...]:
        return self.source.unreadable()

    def read(self, seed: int) -> Splits:
        if seed not in self._splits:
            self._splits[seed] = self.source.read(seed)
        return self._splits[seed]


def holding(task: Task) -> Task:
    """A task that holds its images; the same one, where it has none."""
    return task if task.source is None else replace(task, source=HeldImages(task.source))
