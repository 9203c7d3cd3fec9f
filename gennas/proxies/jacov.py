"""Jacobian covariance: how much the output's gradients differ between images."""

import torch
from torch import nn

from gennas.proxies.base import ProxyBatch, defined, untouched

_SMALL = 1e-5


def jacov(network: nn.Module, batch: ProxyBatch) -> float:
    """Mellor, Turner, Storkey and Crowley, "Neural Architecture Search without Training", arXiv:2006.04647v1.

    ``-sum_i (log(e_i + k) + 1 / (e_i + k))`` with k = 1e-5 and the eigenvalues e of the ``(b, b)`` matrix of
    correlations between ``d sum(logits) / d image`` of the images. (From the first version of the paper; the second
    proposes ``naswot``.)
    """
    with untouched(network, batch.seed):
        images = batch.images.detach().clone().requires_grad_()
        logits = network(images)
        if not logits.requires_grad:
            return float("nan")
        (jacobian,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
    if jacobian is None:
        return float("nan")
    correlations = torch.corrcoef(jacobian.flatten(1).double())
    if not correlations.isfinite().all():
        return float("nan")
    eigenvalues = torch.linalg.eigvalsh(correlations) + _SMALL
    return defined(-(eigenvalues.log() + 1 / eigenvalues).sum())
