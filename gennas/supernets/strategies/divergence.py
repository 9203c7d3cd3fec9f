"""How far a sub-network's answers are from those of its teacher."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gennas.training.teacher import distillation_loss

Divergence = Literal["kl", "alpha"]
#: The least and largest alpha, and the most that a ratio of probabilities counts, of the paper.
_ALPHAS, _MOST_RATIO = (-1.0, 1.0), 5.0


def divergence_of(student: Tensor, teacher: Tensor, kind: Divergence) -> Tensor:
    """The divergence of a student's answers from those of its teacher; only the student learns.

    Args:
        student: logits ``(b, classes)``.
        teacher: logits ``(b, classes)``.
        kind: ``kl``, or ``alpha`` for :func:`adaptive_alpha`.
    """
    teacher = teacher.detach()
    return distillation_loss(student, teacher, 1.0) if kind == "kl" else adaptive_alpha(student, teacher)


def adaptive_alpha(student: Tensor, teacher: Tensor) -> Tensor:
    """The larger one of two alpha-divergences per image: one punishes too much confidence, the other too little.

    Wang et al., "AlphaNet: Improved Training of Supernets with Alpha-Divergence", ICML 2021,
    https://arxiv.org/abs/2102.07954, section 4; with importance ratios limited to 5. Its gradient is that of the paper;
    its value is a surrogate with this gradient.

    Args:
        student: logits ``(b, classes)``.
        teacher: logits ``(b, classes)``.
    """
    (low, learn_low), (high, learn_high) = (_alpha_divergence(student, teacher, alpha) for alpha in _ALPHAS)
    return torch.where(low > high, learn_low, learn_high).mean()


def _alpha_divergence(student: Tensor, teacher: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """The divergence ``(b,)`` of each image, and what has its gradient, with limited ratios."""
    log_q = student.log_softmax(1)
    q, p = log_q.detach().exp(), teacher.softmax(1)
    ratio = p / q.clamp_min(torch.finfo(q.dtype).tiny)
    if alpha == 1:
        value, slope = ratio * ratio.clamp_min(1e-12).log(), ratio
    else:
        power = ratio.clamp_min(1e-12).pow(alpha).clamp_max(_MOST_RATIO)
        base = 1 / (alpha * (alpha - 1))
        value, slope = power * base - base, power / alpha + base
    return (q * value).sum(1), -(q * slope * log_q).sum(1)
