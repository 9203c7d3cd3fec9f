"""Mixture: surrogates of one metric that differ in what they take for alike, weighted by how well each foretells."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

from gennas.predictors.process import Process
from gennas.search.forest import foretold

#: Of the forest, and the share of the columns among which each split chooses.
TREES, SHARE = 100, 0.1
#: Draws of the Bayesian bootstrap.
DRAWS = 200
#: Members that weigh less are left out.
LEAST_WEIGHT = 0.02


class Trees:
    """A forest of extremely randomised trees (Geurts, Ernst and Wehenkel, 2006), which finds thresholds.

    Half of what it errs by, out of bag, is taken for noise.

    Args:
        inputs: ``(n, d)``.
        scores: ``(n,)``.
    """

    def __init__(self, inputs: Tensor, scores: Tensor) -> None:
        forest = ExtraTreesRegressor(TREES, max_features=SHARE, bootstrap=True, oob_score=True, random_state=0)
        with warnings.catch_warnings():
            # With very few archs some are in every bag; they count as foretold by the mean of all.
            warnings.simplefilter("ignore", UserWarning)
            forest.fit(inputs.numpy(), scores.numpy())
        self._trees = forest.estimators_
        self._left_out = torch.from_numpy(np.asarray(forest.oob_prediction_, dtype=float))
        self._error = float((scores - self._left_out).square().mean())
        self.noise = self._error / 2

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.from_numpy(foretold(self._trees, points.numpy()))
        return mean, torch.full_like(mean, math.sqrt(self._error / 2))

    def believing(self, points: Tensor) -> Trees:
        return self

    def left_out(self) -> tuple[Tensor, Tensor]:
        """``(n,)`` mean and variance of every score, noise included, as trees foretell it that did not see it."""
        return self._left_out, torch.full_like(self._left_out, self._error)


@dataclass(frozen=True)
class Mixture:
    """Processes and trees of one metric; whatever they disagree in is uncertain.

    Attributes:
        members: that count.
        weights: theirs; they sum to 1.
    """

    members: tuple[Process | Trees, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, groups: Sequence[Sequence[Process | Trees]], scores: Tensor) -> Mixture:
        """Weighted by how probable each finds every score, told the others: pseudo-BMA with the Bayesian bootstrap.

        Yao, Vehtari, Simpson and Gelman, "Using Stacking to Average Bayesian Predictive Distributions", Bayesian
        Analysis 2018, section 3.4.

        Args:
            groups: members, all of which learnt the same scores. The first of a group speaks for it, and all of it
                share the weight alike: what has many length scales is flattered by scores that chose them.
            scores: ``(n,)``.
        """
        weights = bootstrapped_weights(np.stack([log_density(group[0], scores) for group in groups]))
        shares = [
            (member, weight / len(group))
            for group, weight in zip(groups, weights.tolist(), strict=True)
            for member in group
        ]
        counts = [(member, share) for member, share in shares if share >= LEAST_WEIGHT]
        whole = sum(share for _, share in counts)
        return cls(tuple(member for member, _ in counts), tuple(share / whole for _, share in counts))

    @property
    def noise(self) -> float:
        """Variance of scores that are evaluated again."""
        return sum(weight * member.noise for weight, member in zip(self.weights, self.members, strict=True))

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N,)`` mean and std of the noiseless scores at ``points (N, d)``."""
        told = [member.moments(points) for member in self.members]
        weights = torch.tensor(self.weights, dtype=torch.double)[:, None]
        means, stds = torch.stack([mean for mean, _ in told]), torch.stack([std for _, std in told])
        mean = (weights * means).sum(0)
        return mean, (weights * (stds.square() + (means - mean).square())).sum(0).sqrt()

    def believing(self, points: Tensor) -> Mixture:
        """The same, had archs at ``points (N, d)`` come out as each member expects; nothing is fitted anew."""
        return replace(self, members=tuple(member.believing(points) for member in self.members))


def log_density(member: Process | Trees, scores: Tensor) -> np.ndarray:
    """``(n,)`` of every score, as the others foretell it."""
    mean, variance = member.left_out()
    return (-0.5 * ((scores - mean).square() / variance + variance.log() + math.log(2 * math.pi))).numpy()


def bootstrapped_weights(log_densities: np.ndarray) -> np.ndarray:
    """``(k,)`` weights of ``k`` members, of their log-densities of ``n`` scores ``(k, n)``."""
    count = log_densities.shape[1]
    # Sums as they might have come out, had other archs been evaluated.
    shares = count * np.random.default_rng(0).dirichlet(np.ones(count), DRAWS)
    sums = shares @ log_densities.T
    odds = np.exp(sums - sums.max(1, keepdims=True))
    weights: np.ndarray = (odds / odds.sum(1, keepdims=True)).mean(0)
    return weights
