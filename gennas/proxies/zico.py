"""ZiCo: large gradients that agree from batch to batch."""

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
    gradient does not vary, and layers without any other, are left out. The paper writes the deviation of
    ``|dL / dw|``; it is taken with signs here, as in the code published with it.
    """
    halves = zip(batch.images.chunk(_BATCHES), batch.labels.chunk(_BATCHES), strict=True)
    with untouched(network, batch.seed):
        gradients = [weight_gradients(network, images, labels) for images, labels in halves]
    score = 0.0
    for of_layer in zip(*gradients, strict=True):
        both = torch.stack(of_layer)
        mean, spread = both.abs().mean(dim=0), both.std(dim=0, correction=0)
        ratio = float((mean[spread > 0] / spread[spread > 0]).sum())
        score += math.log(ratio) if ratio > 0 else 0.0
    return defined(score)
