"""Splits of images whose targets may be of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

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
    if is_drawn := val is None:
        held_out, rest = _held_out(train.labels, targets, seed)
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
    return Splits(train, val, test, notes, is_drawn)


def _held_out(labels: np.ndarray, targets: TargetKind, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the images that are held out, and of the rest.

    Where chance takes all images that have some trait to one side, so that the targets cannot be learnt or measured,
    some change places with others, of their stratum if they can.
    """
    strata = targets.strata(labels)
    held_out, rest = stratified(strata, (HELD_OUT,), seed)
    if not len(held_out):
        return held_out, rest
    try:
        targets.fitted(labels[rest])
        targets.expect_measurable(labels[held_out], "they")
    except InvalidInputError:
        is_held_out = _shared_out(targets.traits(labels), strata, held_out)
        return np.flatnonzero(is_held_out), np.flatnonzero(~is_held_out)
    return held_out, rest


def _shared_out(traits: np.ndarray, strata: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """``(n,)`` whether an image is held out, where the others show every trait, and these all that they can.

    Args:
        traits: ``(n, m)`` 0 or 1.
        strata: ``(n,)`` their numbers.
        held_out: row numbers of those that are held out by now.
    """
    is_held_out = np.isin(np.arange(len(strata)), held_out)
    for side, trait in product((False, True), range(traits.shape[1])):
        here, there = (traits[is_held_out == which].sum(0) for which in (side, not side))
        having = np.flatnonzero(traits[:, trait] * (is_held_out != side))
        if here[trait] or not len(having):
            continue
        for row in having:
            others = np.flatnonzero(is_held_out == side)
            change = traits[row] - traits[others]
            lost_here, lost_there = (
                ((before > 0) & (after <= 0)).any(1)
                for before, after in ((here, here + change), (there, there - change))
            )
            # Held-out images may lose a trait to the others, which must be learnt, and no other way round.
            is_worse = lost_here | (lost_there & side)
            cost = np.where(is_worse, 3, (strata[others] != strata[row]) + lost_there)
            if len(others) and cost.min() < 3:
                is_held_out[[row, others[cost.argmin()]]] = side, not side
                break
        else:
            # Nothing can be given in exchange.
            is_held_out[having[0]] &= side
    return is_held_out
