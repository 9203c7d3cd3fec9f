"""The order of the training images of every network, and how they are moved: those of a training of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gennas.training.augmentation import Moves, moves_of
from gennas.training.batch_norm import SETTLING_BATCH, SETTLING_IMAGES
from gennas.training.batches import epoch_seed, num_batches
from gennas.training.recipe import Recipe


class StackedDraws:
    """The order of the training images of every network, and how they are moved.

    Both depend on the seed, the epoch and the number of images, as of :class:`gennas.training.batches.TrainBatches`.

    Args:
        count: training images of every network.
        shape: ``(c, h, w)`` of an image.
        seeds: of the networks.
        recipe: gives batch size and augmentation.
        device: of what is given.
    """

    def __init__(
        self, count: int, shape: Sequence[int], seeds: Sequence[int], recipe: Recipe, device: torch.device
    ) -> None:
        self.count, self.shape, self.recipe, self.device = count, shape, recipe, device
        self.distinct = list(dict.fromkeys(seeds))
        self.of_network = torch.tensor([self.distinct.index(seed) for seed in seeds], device=device)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return num_batches(self.count, self.recipe.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Moves | None]]:
        """The batches of an epoch: row numbers ``(n, b)``, and moves of all ``n * b`` images."""
        orders: list[Tensor] = []
        moves: list[list[Moves | None]] = []
        for seed in self.distinct:
            rng = torch.Generator().manual_seed(epoch_seed(seed, epoch))
            orders.append(torch.randperm(self.count, generator=rng))
            parts = orders[-1].tensor_split(self.steps)
            moves.append([moves_of(len(rows), self.shape, self.recipe.augmentation, rng) for rows in parts])
        rows = torch.stack(orders).to(self.device)[self.of_network]
        return zip(rows.tensor_split(self.steps, 1), map(self._stacked, zip(*moves, strict=True)), strict=True)

    def settling(self) -> tuple[Tensor, ...]:
        """Row numbers ``(n, b)`` of the batches that batch norm statistics are made of."""
        chosen = torch.stack(
            [
                torch.randperm(self.count, generator=torch.Generator().manual_seed(epoch_seed(seed, -1)))
                for seed in self.distinct
            ]
        )[:, :SETTLING_IMAGES]
        rows = chosen.to(self.device)[self.of_network]
        return rows.tensor_split(num_batches(rows.shape[1], SETTLING_BATCH), 1)

    def _stacked(self, each: Sequence[Moves | None]) -> Moves | None:
        """Moves of all networks, from those of each seed."""
        found = [one for one in each if one is not None]
        if not found:
            return None
        parts = [torch.stack(values) for values in zip(*(vars(one).values() for one in found), strict=True)]
        return Moves(*(part.to(self.device)[self.of_network].flatten() for part in parts))
