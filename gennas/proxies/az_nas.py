"""The three AZ-NAS scores that are computed from the features after each block."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.errors import InvalidInputError
from gennas.proxies import register_proxy
from gennas.proxies.base import ProxyBatch, defined, hooked, shared, untouched
from gennas.proxies.initialise import kaiming_normal

_POOLING = (nn.MaxPool2d, nn.AvgPool2d)


@register_proxy("expressivity", initialise=kaiming_normal)
def expressivity(network: nn.Module, batch: ProxyBatch) -> float:
    """Lee and Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024.

    The entropies of :func:`block_scores` summed over the blocks.
    """
    return defined(block_scores(network, batch)[0].sum())


@register_proxy("progressivity", initialise=kaiming_normal)
def progressivity(network: nn.Module, batch: ProxyBatch) -> float:
    """Lee and Ham, CVPR 2024: the smallest increase of the entropy from one block to the next."""
    return defined(block_scores(network, batch)[0].diff().min())


@register_proxy("trainability", initialise=kaiming_normal)
def trainability(network: nn.Module, batch: ProxyBatch) -> float:
    """Lee and Ham, CVPR 2024.

    ``mean_l (2 - s_l - 1 / s_l)`` with the spectral norms s of :func:`block_scores`; its maximum is 0, if gradients
    neither vanish nor explode. A block that passes its gradient on unchanged scores minus infinity, which makes the
    score undefined.
    """
    norms = block_scores(network, batch)[1]
    return defined((2 - norms - 1 / (norms + 1e-6)).mean())


@shared
def block_scores(network: nn.Module, batch: ProxyBatch) -> tuple[Tensor, Tensor]:
    """The entropy of the features after each block, and the spectral norm of each block's effect on gradients.

    The network's input is Gaussian noise in the shape of the batch, with batch norm in training mode. Blocks are the
    children of ``network.body`` or, without such a module, of the longest ``nn.Sequential``; a pooling layer between
    two blocks belongs to the second. The input of the first block counts as a feature too.

    Entropy: ``-sum_c p_c log p_c`` of the eigenvalues p, normalised to a sum of one, of the ``(c, c)`` covariance of a
    feature's pixels. Spectral norm: the largest singular value of ``E[g_in g_out^T]`` with the gradient g_in of a
    block's input for a random g_out of +1 and -1; infinite if ``g_in = g_out``. If a block downsamples, the pixels that
    become one are stacked as channels.

    Returns:
        ``(L + 1,)`` entropies and ``(L,)`` spectral norms of L blocks.
    """
    blocks = _blocks(network)
    with untouched(network, batch.seed):
        features: list[Tensor] = []

        def keep(module: nn.Module, received: Tensor, output: Tensor) -> None:
            if not features:
                features.append(received)
            if output.dim() == 4:
                # Blocks that the input does not reach output constants; these have a gradient, but pass none on.
                features.append(output if output.requires_grad else output.requires_grad_())

        with hooked(blocks, keep):
            network(batch.noise().requires_grad_())
        entropies = torch.tensor([_entropy(feature.detach()) for feature in features])
        pairs = itertools.pairwise(features)
        return entropies, torch.tensor([_spectral_norm(before, after) for before, after in pairs])


def _blocks(network: nn.Module) -> list[nn.Module]:
    body = getattr(network, "body", None)
    if not isinstance(body, nn.Sequential):
        chains = [module for module in network.modules() if isinstance(module, nn.Sequential)]
        body = max(chains, key=len, default=nn.Sequential())
    blocks = [block for block in body if not isinstance(block, _POOLING)]
    if not blocks:
        raise InvalidInputError(
            f"{type(network).__name__} has no blocks; expected a module `body`, or any other nn.Sequential."
        )
    return blocks


def _pixels(feature: Tensor) -> Tensor:
    return feature.permute(0, 2, 3, 1).flatten(0, 2)  # (b * h * w, c)


def _entropy(feature: Tensor) -> float:
    pixels = _pixels(feature)
    pixels = pixels - pixels.mean(dim=0)
    # Rounding can make a zero eigenvalue negative, which has no logarithm.
    share = torch.linalg.eigvalsh(pixels.T @ pixels / len(pixels)).clamp_min(0)
    share = share / share.sum()
    return float(-(share * (share + 1e-8).log()).sum())


def _spectral_norm(before: Tensor, after: Tensor) -> float:
    g_out = torch.randint(0, 2, after.shape).to(after.dtype) * 2 - 1
    (g_in,) = torch.autograd.grad(after, before, g_out, retain_graph=True, allow_unused=True)
    if g_in is None:
        return 0.0
    if torch.equal(g_in, g_out):
        return float("inf")
    height, width = after.shape[2:]
    stride = -(-before.shape[2] // height)
    # Halving odd sides rounds up.
    g_in = functional.pad(g_in, (0, stride * width - g_in.shape[3], 0, stride * height - g_in.shape[2]))
    g_in = functional.pixel_unshuffle(g_in, stride)
    effect = _pixels(g_in).T @ _pixels(g_out) / (len(after) * height * width)
    return float(torch.linalg.matrix_norm(effect, ord=2))
