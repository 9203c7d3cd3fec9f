"""What training-free scores share: the batch that they look at, and the promise to leave a network as it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gennas.errors import InvalidInputError
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import expect_classes, image_shape
from gennas.training.batches import Normalisation

#: The layers whose weights are scored; norms and biases are left out, as in the published scores.
Layer: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
_LEAST_STD = 1e-3
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ProxyBatch:
    """One batch of a task's images.

    Attributes:
        images: ``(b, c, h, w)`` float, mean 0 and standard deviation 1 per channel, or as a space standardises them.
        labels: ``(b,)`` classes.
        num_classes: how many classes the task has.
        seed: of what a proxy draws at random, e.g. noise in place of images.
    """

    images: Tensor
    labels: Tensor
    num_classes: int
    seed: int = 0

    @classmethod
    def from_task(cls, task: Task, size: int, seed: int = 0, space: Space | None = None) -> ProxyBatch:
        """Real training images, as many of every class as possible, standardised over the batch.

        Args:
            task: has the images.
            size: number of images.
            seed: chooses them.
            space: whose networks look at them; where it says how images are standardised, they are.

        Raises:
            InvalidInputError: a task on a graph, or fewer than two images.
            DataMissingError: a benchmark whose images are not on this machine.
        """
        image_shape(task, "a training-free score")
        expect_classes(task, "a training-free score", "leave scores out.")
        split = task.sample(size, seed)
        if len(split) < 2:
            # Batch norm has no variance of one image on a map of one pixel, and scores compare images.
            raise InvalidInputError(
                f"a training-free score looks at {len(split)} image of task {task.name!r}; it needs at least 2."
            )
        if space is not None and space.normalisation is not None:
            images = Normalisation.of(space, task)(torch.from_numpy(split.images))
            return cls(images, torch.from_numpy(split.labels), task.num_classes, seed)
        images = torch.from_numpy(split.images).float() / 255
        std, mean = torch.std_mean(images, dim=(0, 2, 3), keepdim=True)
        # On a CPU convolutions of this format are the fastest.
        images = ((images - mean) / std.clamp_min(_LEAST_STD)).contiguous(memory_format=torch.channels_last)
        return cls(images, torch.from_numpy(split.labels), task.num_classes, seed)

    def noise(self) -> Tensor:
        """Gaussian noise in place of the images, from torch's own generator."""
        noise = torch.randn(self.images.shape, dtype=self.images.dtype)
        return noise.contiguous(memory_format=torch.channels_last)


#: A training-free score: higher is better, nan where it is not defined, e.g. for a network that ignores its images.
Proxy: TypeAlias = Callable[[nn.Module, ProxyBatch], float]


@contextmanager
def untouched(network: nn.Module, seed: int = 0) -> Iterator[None]:
    """Within, a network is in training mode, gradients are on, and randomness is that of ``seed``.

    Afterwards its weights, gradients, buffers and modes, and torch's random state, are bit for bit as before.
    """
    modes = [(module, module.training) for module in network.modules()]
    tensors = [(tensor, tensor.detach().clone()) for tensor in (*network.parameters(), *network.buffers())]
    grads = [(parameter, parameter.requires_grad, parameter.grad) for parameter in network.parameters()]
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            network.train().requires_grad_(True)
            yield
    finally:
        with torch.no_grad():
            for tensor, before in tensors:
                tensor.copy_(before)
        for parameter, requires_grad, grad in grads:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for module, training in modes:
            module.training = training


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[[nn.Module, Tensor, Tensor], Tensor | None]) -> Iterator[None]:
    """Within, ``hook(module, input, output)`` follows every forward of the modules; what it returns replaces it."""

    def unpacked(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        return hook(module, inputs[0], output)

    handles: list[RemovableHandle] = []
    try:
        handles += [module.register_forward_hook(unpacked) for module in modules]
        yield
    finally:
        for handle in handles:
            handle.remove()


def layers(network: nn.Module) -> list[Layer]:
    """The convolutions and linear layers, in the order of their definition."""
    return [module for module in network.modules() if isinstance(module, Layer)]


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The batch norms of any dimension."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return [module for module in network.modules() if isinstance(module, kinds)]


def defined(value: Tensor | float) -> float:
    """The number, or nan where it is infinite: then the score is not defined either."""
    number = float(value)
    return number if math.isfinite(number) else math.nan


_shared: ContextVar[dict[Any, Any] | None] = ContextVar("shared", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Within, proxies of the same network and batch share their passes; nobody may change its weights in between."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def shared(function: Callable[[nn.Module, ProxyBatch], T]) -> Callable[[nn.Module, ProxyBatch], T]:
    """A function of a network and a batch that is computed once within :func:`sharing`, anew elsewhere."""

    @wraps(function)
    def remembering(network: nn.Module, batch: ProxyBatch) -> T:
        memo = _shared.get()
        if memo is None:
            return function(network, batch)
        # Kept in the memo, network and batch cannot die and leave their id to another.
        entry = memo.setdefault((function, id(network), id(batch)), [network, batch])
        if len(entry) == 2:
            entry.append(function(network, batch))
        return entry[2]

    return remembering
