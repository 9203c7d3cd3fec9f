"""Training losses of a predictor: a likelihood, and ranking losses that depend only on the order of archs."""

from __future__ import annotations

import torch
from torch import Tensor

#: Distances within a batch between the archs of a pair.
_SHIFTS = (1, 2, 3, 5, 8)


def weighted_likelihood(mean: Tensor, variance: Tensor, target: Tensor) -> Tensor:
    """Elementwise Gaussian negative log-likelihood, weighted by ``variance ** 0.5``.

    Seitzer et al., "On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks",
    ICLR 2022, equation 5 with beta = 0.5.
    """
    return ((mean - target).square() / variance + variance.log()) / 2 * variance.detach().sqrt()


def pairwise(score: Tensor, target: Tensor) -> Tensor:
    """Mean logistic loss over pairs of archs: ``log(1 + exp(-sign(y_i - y_j) (s_i - s_j)))``.

    Burges et al., "Learning to Rank Using Gradient Descent" (RankNet), ICML 2005.

    Args:
        score: ``(b, m)`` predictions.
        target: ``(b, m)`` values to rank by; nan if unknown.
    """
    losses = []
    for shift in (shift for shift in _SHIFTS if shift < len(score)):
        sign = (target - target.roll(shift, 0)).sign()
        known = ~sign.isnan() & (sign != 0)
        losses.append(torch.nn.functional.softplus(-(score - score.roll(shift, 0)) * sign)[known])
    return torch.cat(losses).mean() if losses and sum(map(len, losses)) else score.sum() * 0


def list_mle(score: Tensor, target: Tensor) -> Tensor:
    """Mean negative log-likelihood of the order of a batch: Xia et al., "Listwise Approach to Learning to Rank", 2008.

    Under the Plackett-Luce model the best arch is drawn first, with probability ``softmax(s)``, then the best of the
    rest, and so on.

    Args:
        score: ``(b, m)`` predictions.
        target: ``(b, m)`` values to rank by; nan if unknown.
    """
    losses = []
    for metric in range(score.shape[1]):
        known = ~target[:, metric].isnan()
        ordered = score[known, metric][target[known, metric].argsort(descending=True)]
        losses.append(ordered.flip(0).logcumsumexp(0).flip(0) - ordered)
    return torch.cat(losses).mean() if sum(map(len, losses)) else score.sum() * 0


#: Ranking losses, by their name in ``PredictorTraining.ranking``.
RANKINGS = {"pairwise": pairwise, "list_mle": list_mle}
