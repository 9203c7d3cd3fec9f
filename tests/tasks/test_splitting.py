"""Images that are held out by chance: whatever can be learnt is learnt, for every seed."""

from __future__ import annotations

import numpy as np
import pytest

from gennas.errors import InvalidInputError
from gennas.tasks.base import Split, stratified
from gennas.tasks.splitting import HELD_OUT, splits_of
from gennas.tasks.targets import TargetKind
from gennas.tasks.targets.multilabel import Multilabel
from gennas.tasks.targets.regression import Regression

SEEDS = range(60)


def split(targets: np.ndarray, kind: TargetKind, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the training and of the held-out images."""
    images = np.arange(len(targets), dtype=np.int64)[:, None, None, None]
    splits = splits_of({"train": Split(images, targets)}, kind, seed, "mine")
    train, val = splits.train.images.ravel(), splits.val.images.ravel()
    assert sorted([*train, *val]) == list(range(len(targets)))
    assert (splits.train.labels == targets[train]).all()
    return train, val


def by_chance(targets: np.ndarray, kind: TargetKind, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same as strata alone give it."""
    held_out, rest = stratified(kind.strata(targets), (HELD_OUT,), seed)
    return rest, held_out


def together(groups: int) -> np.ndarray:
    """Two images of every rare label, one of which has a common label beside it: chance may hold out all of these."""
    rare = np.repeat(np.eye(groups, dtype=np.int64), 2, axis=0)
    return np.column_stack([rare, np.arange(2 * groups) % 2])


def sparse(rows: int, positive: int, columns: int = 1) -> np.ndarray:
    """Values that are 0 for most images."""
    values = np.zeros((rows, columns))
    for column in range(columns):
        values[column * positive : (column + 1) * positive, column] = np.arange(1, positive + 1)
    return values


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        pytest.param(together(3), Multilabel(), id="a label beside rarer ones"),
        pytest.param(np.vstack([together(2), np.zeros((9, 3), np.int64)]), Multilabel(), id="and images without any"),
        pytest.param(sparse(100, 5), Regression(), id="a value that is mostly 0"),
        pytest.param(-sparse(40, 3, 2), Regression(), id="two"),
    ],
)
def test_no_seed_takes_what_can_be_learnt_from_all_training_images(targets: np.ndarray, kind: TargetKind) -> None:
    changed = 0
    for seed in SEEDS:
        train, val = split(targets, kind, seed)
        again = split(targets, kind, seed)
        assert (train == again[0]).all()
        kind.fitted(targets[train])
        kind.expect_measurable(targets[val], "the images")
        strata, chance = kind.strata(targets), by_chance(targets, kind, seed)
        assert (np.bincount(strata[val]) == np.bincount(strata[chance[1]], minlength=strata[val].max() + 1)).all()
        changed += not np.array_equal(val, chance[1])
    assert 0 < changed < len(SEEDS)


def test_splits_that_teach_everything_are_as_chance_makes_them() -> None:
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        for targets, kind in (
            ((rng.random((30, 4)) < 0.15).astype(np.int64), Multilabel()),
            (rng.normal(size=(30, 2)), Regression()),
        ):
            chance = by_chance(targets, kind, seed)
            try:
                kind.fitted(targets[chance[0]])
                kind.expect_measurable(targets[chance[1]], "the images")
            except InvalidInputError:
                continue
            found = split(targets, kind, seed)
            assert all(np.array_equal(*pair) for pair in zip(found, chance, strict=True))


def test_every_label_is_learnt_and_some_are_measured_wherever_they_can_be() -> None:
    rng = np.random.default_rng(1)
    for seed in range(300):
        targets = (rng.random((rng.integers(6, 25), rng.integers(2, 7))) < rng.uniform(0.05, 0.4)).astype(np.int64)
        targets = targets[:, targets.any(0)]
        if not targets.shape[1] or not len(by_chance(targets, Multilabel(), seed)[1]):
            continue
        # Only an image all of whose labels others have too can be spared.
        if not (targets.any(1) & (targets <= (targets.sum(0) > 1)).all(1)).any():
            with pytest.raises(InvalidInputError, match="so that average precision is not defined"):
                split(targets, Multilabel(), seed)
            continue
        train, val = split(targets, Multilabel(), seed)
        assert targets[val].any()
        assert targets[train].any(0).all()


def test_what_no_image_has_is_refused_as_before() -> None:
    targets = np.column_stack([together(3), np.zeros(6, np.int64)])
    with pytest.raises(InvalidInputError, match="label 4 is that of no training image"):
        split(targets, Multilabel(), 0)
    with pytest.raises(InvalidInputError, match="value 0 is 2 for all training images"):
        split(np.full((20, 1), 2.0), Regression(), 0)
    # The one that differs is learnt, and r2 is not defined without it.
    for seed in SEEDS:
        with pytest.raises(InvalidInputError, match="the value is 0 for all of the 4 validation images"):
            split(sparse(20, 1), Regression(), seed)
