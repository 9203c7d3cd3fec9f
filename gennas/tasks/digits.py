"""The task ``digits``: scikit-learn's 1,797 real images of handwritten digits."""

from dataclasses import dataclass, replace

import numpy as np

from gennas.tasks.base import ImageSource, Split, Splits, Task, expect_images, stratified

# The split is part of the task, not of a run.
_SPLIT_SEED = 201


@dataclass(frozen=True)
class Digits(ImageSource):
    """Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998: the subset in scikit-learn.

    Args:
        size: side in pixels that the images are resized to.
    """

    size: int

    def task(self) -> Task:
        """The task, with its notes."""
        upscaled = f"upscaled to {self.size}x{self.size} and " if self.size != 8 else ""
        note = f"scikit-learn's 8x8 grey digits, {upscaled}repeated to 3 channels"
        return Task("digits", (3, self.size, self.size), 10, tuple("0123456789"), self, (note,))

    def resized(self, task: Task, side: int) -> Task:
        return replace(Digits(side).task(), name=task.name)

    def read(self, seed: int) -> Splits:
        """About 60 % train, 20 % validation and 20 % test images, stratified; the seed determines the split."""
        from PIL import Image
        from sklearn.datasets import load_digits

        grey, labels = load_digits(return_X_y=True)
        expect_images(len(labels), self.size)
        grey = np.rint(grey.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        side = (self.size, self.size)
        upscaled = [np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BILINEAR)) for image in grey]
        images = np.stack(upscaled)[:, None].repeat(3, axis=1)
        everything = Split(images, labels.astype(np.int64))
        val, test, train = stratified(labels, (0.2, 0.2), _SPLIT_SEED + seed)
        return Splits(everything.take(train), everything.take(val), everything.take(test))
