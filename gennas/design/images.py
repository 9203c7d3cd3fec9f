"""The images of a design: read at the largest resolution that is of use, and counted."""

from __future__ import annotations

import os
import re
import statistics
import warnings
from collections.abc import Sequence

import numpy as np

from gennas.errors import InvalidInputError
from gennas.tasks import Splits, Task
from gennas.tasks.base import image_shape
from gennas.tasks.decoding import dimensions
from gennas.tasks.folder import ImageFolder
from gennas.tasks.layout import list_images

#: Files whose size is looked at.
_SAMPLED = 64
#: Networks that were pretrained on large pictures see more in small ones that are enlarged, up to this side and factor.
ENLARGED, FACTOR = 96, 3
#: Networks cannot be told apart on fewer validation images.
FEWEST = 10


def native_side(task: Task) -> int:
    """The side of a task's images as they are, in pixels: of a folder's the median of the shorter ones."""
    if not isinstance(task.source, ImageFolder):
        return image_shape(task, "a design")[1]
    listing = list_images(task.source.path, nested=task.source.nested)
    files = listing.splits["train"]
    sample = files[:: max(1, len(files) // _SAMPLED)][:_SAMPLED]
    with warnings.catch_warnings():
        # Pillow's, on damaged files; they are reported when they are read.
        warnings.simplefilter("ignore")
        found = [dimensions(os.path.join(listing.root, file.name)) for file in sample]
    return round(statistics.median([min(sides) for sides in found if sides is not None] or [task.input_shape[1]]))


def useful_side(native: int, resolutions: Sequence[int], most: int) -> int:
    """The largest resolution that is of use for images of a side.

    Args:
        native: side of the images.
        resolutions: that there are, ascending.
        most: largest side.
    """
    wanted = min(max(native, min(FACTOR * native, ENLARGED)), most)
    # A resolution above the images' shows nothing that they have not.
    below = [side for side in resolutions if side <= wanted]
    return below[-1] if below else resolutions[0]


def expect_enough(task: Task, splits: Splits) -> None:
    """Raises InvalidInputError where there are too few images to choose networks by."""
    if len(splits.val) < FEWEST:
        raise InvalidInputError(
            f"is {task.name!r}, which has {len(splits.val)} validation images beside {len(splits.train)} for training: "
            f"too few to tell networks apart. Expected at least {FEWEST}; add images, {5 * FEWEST} or more in all "
            "where no validation split is given.",
            argument="task",
        )
    if missing := sorted(set(range(task.num_classes)) - set(splits.val.labels.tolist())):
        names = [task.class_names[label] if task.class_names else str(label) for label in missing]
        raise InvalidInputError(
            f"is {task.name!r}, which has no validation image of class {', '.join(names[:3])}; add images, or a "
            "validation split.",
            argument="task",
        )


def counted(task: Task, splits: Splits, log: str) -> str:
    """How many images there are, in a sentence.

    Args:
        task: of the images.
        splits: of them.
        log: where it is said which files could not be read.
    """
    per_class = np.bincount(np.concatenate([splits.train.labels, splits.val.labels]), minlength=task.num_classes)
    least, most = int(per_class.min()), int(per_class.max())
    each = f"{least}" if least == most else f"{least} to {most}"
    text = f"{task.name}: {int(per_class.sum()):,} images, {task.num_classes} classes of {each}, "
    text += f"{len(splits.val):,} of them kept for validation"
    text += f", {len(splits.test):,} for the test" if splits.test is not None else ", no test images"
    skipped = [found[1] for note in splits.notes if (found := re.match(r"([\d,]+) files? skipped", note))]
    return text + (f"; {skipped[0]} could not be read ({log})" if skipped else "")
