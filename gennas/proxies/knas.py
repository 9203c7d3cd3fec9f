"""KNAS: the mean of the gradient kernel."""

from torch import nn

from gennas.proxies.base import ProxyBatch, defined
from gennas.proxies.gradients import loss_gradients


def knas(network: nn.Module, batch: ProxyBatch) -> float:
    """Xu, Zhao, Lin, Gao, Sun and Yang, "KNAS: Green Neural Architecture Search", ICML 2021.

    ``1 / b^2 sum_ij <dy_i / dw, dy_j / dw>``, the mean of the Gram matrix of the images' gradients. In the paper y is
    an output; as in its published code, y_i is the loss of image i here. The mean of all products is the product of the
    means, so one backward pass of the mean loss is enough: the score is ``|dL / dw|^2`` over the weights of all
    convolutions and linear layers.
    """
    return defined(sum(float(gradient.square().sum()) for gradient in loss_gradients(network, batch)))
