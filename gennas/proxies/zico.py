"""ZiCo: the size of gradients relative to their variation between batches."""

import math

import torch
from torch import nn

from gennas.proxies.base import ProxyBatch, defined, untouched
from gennas.proxies.gradients import weight_gradients

_BATCHES = 2


def zico(network: nn.Module, batch: ProxyBatch) -> float:
    """Li, Yang, Bhardwaj and Marculescu, "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients",
    ICLR 2023.

    ``sum_l log sum_{w in l} E|dL / dw| / std(dL / dw)`` over two batches, the halves of the given one; weights whose
    gradient does not vary are left out, and so are layers without others. The paper has the std of ``|dL / dw|``; here
    the gradients keep their signs, as in the paper's published code.
    """
    halves = zip(batch.images.chunk(_BATCHES), batch.labels.chunk(_BATCHES), strict=True)
    with untouched(network, batch.seed):
        gradients = [weight_gradients(network, images, labels) for images, labels in halves]
    score = 0.0
    for of_layer in zip(*gradients, strict=True):
        both = torch.stack(of_layer)
        mean, std = both.abs().mean(dim=0), both.std(dim=0, correction=0)
        ratio = float((mean[std > 0] / std[std > 0]).sum())
        score += math.log(ratio) if ratio > 0 else 0.0
    return defined(score)
