"""Splits of images whose targets may be of any kind."""

from __future__ import annotations

from collections.abc import Mapping

from gennas.errors import InvalidInputError
from gennas.tasks.base import Split, Splits, stratified
from gennas.tasks.targets import TargetKind

#: The share of the images that is held out where there is no validation split.
HELD_OUT = 0.2
#: Said of a task without that split.
NO_VAL = f"no validation split: {HELD_OUT:.0%} of the images, chosen by the seed, are held out for validation"
NO_TEST = "no test split: no values on test images are reported"


def splits_of(
    parts: Mapping[str, Split], targets: TargetKind, seed: int, task: str, notes: tuple[str, ...] = ()
) -> Splits:
    """The splits of images, with some held out where there is no validation split.

    Args:
        parts: ``train`` and, where there are any, ``val`` and ``test``.
        targets: their kind.
        seed: chooses those that are held out.
        task: name, for messages.
        notes: see :class:`Splits`.

    Raises:
        InvalidInputError: nothing can be learnt from the training images, or metrics of others are not defined.
    """
    train, val, test = parts["train"], parts.get("val"), parts.get("test")
    if val is None:
        held_out, rest = stratified(targets.strata(train.labels), (HELD_OUT,), seed)
        if not len(held_out):
            raise InvalidInputError(
                f"task {task!r} has too few images to hold some out for validation ({len(train)}); add images, or a "
                "validation split."
            )
        train, val = train.take(rest), train.take(held_out)
    try:
        targets.fitted(train.labels)
    except InvalidInputError as error:
        raise InvalidInputError(f"task {task!r}: {error}") from error
    for split, where in ((val, "validation"), (test, "test")):
        if split is not None:
            targets.expect_measurable(split.labels, f"the {len(split)} {where} images of task {task!r}")
    return Splits(train, val, test, notes)
