"""Images of a task at another size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gennas.tasks.base import ImageSource, Split, Splits
from gennas.tasks.targets import TargetKind

if TYPE_CHECKING:
    from gennas.tasks.base import Task

#: Images that are resized at a time.
_AT_ONCE = 256


@dataclass(frozen=True)
class ResizedImages(ImageSource):
    """Images of another source, resized to squares: bilinear and antialiased, without crop or padding.

    Attributes:
        source: reads them.
        side: height and width in pixels.
    """

    source: ImageSource
    side: int

    @property
    def targets(self) -> TargetKind:  # type: ignore[override]
        return self.source.targets

    def unreadable(self) -> tuple[str, ...]:
        return self.source.unreadable()

    def read(self, seed: int) -> Splits:
        splits = self.source.read(seed)
        test = None if splits.test is None else self._resized(splits.test)
        return replace(splits, train=self._resized(splits.train), val=self._resized(splits.val), test=test)

    def preprocessing(self) -> dict[str, Any]:
        steps = self.source.preprocessing()
        return {**steps, "size": [self.side, self.side]} if steps else {}

    def resized(self, task: Task, side: int) -> Task:
        # Images that were resized once would lose by being resized again.
        return self.source.resized(task, side)

    def sample(self, count: int, seed: int) -> Split:
        return self._resized(self.source.sample(count, seed))

    def _resized(self, split: Split) -> Split:
        return Split(resized_images(split.images, self.side), split.labels)


def resized_images(images: np.ndarray, side: int) -> np.ndarray:
    """Images ``(n, c, h, w)`` uint8 as ``(n, c, side, side)``: bilinear and antialiased, as Pillow resizes."""
    import torch

    if images.shape[2:] == (side, side):
        return images
    found = np.empty((*images.shape[:2], side, side), np.uint8)
    for start in range(0, len(images), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        part = torch.from_numpy(np.ascontiguousarray(images[rows]))
        found[rows] = torch.nn.functional.interpolate(part, (side, side), mode="bilinear", antialias=True).numpy()
    return found
