"""TrainingSteps: one optimiser step of all networks of a stack; on a GPU replayed from a CUDA graph."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from gennas.spaces.stacks.base import Stack
from gennas.training.augmentation import Moves
from gennas.training.memory import is_out_of_memory
from gennas.training.recipe import Recipe
from gennas.training.stacked.images import StackedImages
from gennas.training.stacked.optimisation import StackOptimiser, clip_networks, losses_of

_LOG = logging.getLogger(__name__)

# Steps of one batch size before its graph is made: they allocate the optimiser's state and choose kernels.
_EAGER_STEPS = 3


@dataclass(frozen=True, eq=False)
class _Graph:
    """A recorded step, and the tensors that it reads."""

    graph: torch.cuda.CUDAGraph
    rows: Tensor
    moves: Moves | None


class TrainingSteps:
    """One optimiser step of all networks of a stack.

    Networks this small keep a GPU waiting for its next kernel. A CUDA graph launches all kernels of a step at once; one
    is made for each batch size, after some steps without.

    Args:
        stack: in training mode, on its device.
        images: of the training.
        recipe: how to train.
        classes: ``(n,)`` numbers of classes, on the device.
        graphs: whether to make graphs, where the device knows them.

    Attributes:
        losses: ``(n,)`` sums of the losses of all steps since it was last set to 0.
    """

    def __init__(
        self, stack: Stack, images: StackedImages, recipe: Recipe, classes: Tensor, *, graphs: bool = True
    ) -> None:
        self.stack, self.images, self.recipe, self.classes = stack, images, recipe, classes
        self.owned = stack.owned()
        self.optimiser = StackOptimiser(self.owned, recipe)
        self.dtype = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
        self.losses = torch.zeros(len(classes), device=classes.device)
        self.makes_graphs = graphs and classes.device.type == "cuda"
        self._done: dict[int, int] = {}
        self._graphs: dict[int, _Graph] = {}

    @property
    def has_graphs(self) -> bool:
        """Whether steps are replayed from graphs by now."""
        return bool(self._graphs)

    def __call__(self, rows: Tensor, moves: Moves | None, rate: float) -> None:
        """Does a step.

        Args:
            rows: ``(n, b)`` numbers of the images of the batch, on the device.
            moves: of the images, on the device.
            rate: the learning rate.
        """
        self.optimiser.set_rate(rate)
        size = rows.shape[1]
        if self.makes_graphs and size not in self._graphs and self._done.get(size, 0) >= _EAGER_STEPS:
            self._record(rows, moves)
        if (made := self._graphs.get(size)) is None:
            self._step(rows, moves)
            self._done[size] = self._done.get(size, 0) + 1
            return
        made.rows.copy_(rows)
        if made.moves is not None and moves is not None:
            for own, given in zip(vars(made.moves).values(), vars(moves).values(), strict=True):
                own.copy_(given)
        made.graph.replay()

    def _step(self, rows: Tensor, moves: Moves | None) -> None:
        images, labels = self.images.batch(rows, moves)
        self.optimiser.clear()
        losses = losses_of(self.stack(images.to(self.dtype)), labels, self.classes, self.recipe.label_smoothing)
        losses.sum().backward()
        if self.recipe.clip_norm:
            clip_networks(self.owned, self.recipe.clip_norm, len(losses))
        self.optimiser.step()
        self.losses += losses.detach()

    def _record(self, rows: Tensor, moves: Moves | None) -> None:
        """Makes the graph of a batch size, without doing a step; where that fails, steps go on without graphs."""
        own = _Graph(
            torch.cuda.CUDAGraph(),
            rows.clone(),
            None if moves is None else Moves(*(value.clone() for value in vars(moves).values())),
        )
        self.optimiser.clear()
        pool = next((made.graph.pool() for made in self._graphs.values()), None)
        try:
            with torch.cuda.graph(own.graph, pool=pool, stream=torch.cuda.current_stream()):
                self._step(own.rows, own.moves)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            _LOG.info("training goes on without CUDA graphs: %s", error)
            self.makes_graphs = False
            self._graphs = {}
            self.optimiser.clear()
            return
        self._graphs[rows.shape[1]] = own
