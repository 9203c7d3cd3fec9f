"""The statistics of batch norms, made anew for the weights as they are."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gennas.tasks import Split
from gennas.training.batches import Normalisation, epoch_seed, num_batches

#: Images that batch norm statistics are made of, and how many at a time: means over a thousand hardly change with more.
SETTLING_IMAGES, SETTLING_BATCH = 4096, 256


@torch.no_grad()
def settle_batch_norm(
    network: nn.Module, train: Split, normalise: Normalisation, seed: int, batch_size: int = SETTLING_BATCH
) -> None:
    """Makes the statistics of all batch norms anew, for the weights as they are.

    The running averages of a training lag behind the weights, and after few steps they are still near their initial
    values. Here they are the averages over up to :data:`SETTLING_IMAGES` training images, as evaluation shows them: not
    augmented. The same weights and seed give the same statistics. Wu and Johnson, "Rethinking 'Batch' in BatchNorm",
    2021, section 3.

    Args:
        network: left on its device, in evaluation mode.
        train: the training images.
        normalise: applied to them.
        seed: chooses the images, where there are more.
        batch_size: images at a time.
    """
    device = next(network.parameters()).device
    rng = torch.Generator().manual_seed(epoch_seed(seed, -1))
    chosen = torch.randperm(len(train), generator=rng)[:SETTLING_IMAGES]
    images = torch.from_numpy(train.images)
    batches = chosen.tensor_split(num_batches(len(chosen), batch_size))
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    momenta = [layer.momentum for layer in norms]
    # Only these layers train: torch's own update_bn would let dropout draw random numbers.
    network.eval()
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    if norms:
        for rows in batches:
            network(normalise(images[rows]).to(device))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    network.eval()
