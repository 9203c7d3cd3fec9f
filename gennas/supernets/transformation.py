"""Network transformation: a network begins with what the trained network of another arch has learnt.

Cai et al., "Efficient Architecture Search by Network Transformation", AAAI 2018, https://arxiv.org/abs/1707.04873;
layers that shrink or grow keep what fits, as in Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer",
ICLR 2016, https://arxiv.org/abs/1511.05641.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gennas.arch import Arch
from gennas.spaces import PartsSpace, Space
from gennas.spaces.parts.network import value_of


@dataclass(frozen=True)
class Transformed:
    """What became of the layers of a network that began with the weights of another one.

    Attributes:
        copied: names of layers with all weights of the other network's.
        cropped: of layers with the part of its weights that fits.
        new: of layers with initial weights.
    """

    copied: tuple[str, ...]
    cropped: tuple[str, ...]
    new: tuple[str, ...]


#: Names of modules of a network that stand at the same place as those of another one.
Places = Sequence[tuple[str, str]]


def places_of(space: Space, arch: Arch, parent: Arch) -> Places:
    """Which modules of an arch's network stand where those of another arch's do: (own name, the parent's).

    A block is at its number in its stage, so that a stage that became longer moves no block of later ones. Networks of
    spaces that are not made of parts have the same names at the same places; then it is one pair of empty names.

    Args:
        space: of both.
        arch: whose network is to begin.
        parent: whose network is trained.
    """
    if not isinstance(space, PartsSpace):
        return (("", ""),)
    own, other = _places(space, arch), _places(space, parent)
    return tuple((name, other[place]) for place, name in own.items() if place in other)


def _places(space: PartsSpace, arch: Arch) -> dict[tuple[int, int], str]:
    """(stage, block) -> name of a block in the network; (-1, 0) is the stem and (-1, 1) the head."""
    options = space.options_of(space.arrays([arch])[0][0])
    first = int(space.layout.size is not None)
    blocks = [
        (row, number)
        for row, planned in enumerate(space.layout.stages)
        for number in range(int(value_of(planned.depth, options)))
    ]
    return {place: str(first + number) for number, place in enumerate([(-1, 0), *blocks, (-1, 1)])}


@torch.no_grad()
def transform(network: nn.Module, parent: nn.Module, places: Places, *, keeps_classes: bool = True) -> Transformed:
    """Copies the weights of a trained network as far as they fit.

    A layer of the same kind and size is copied. Of another size it gets the first channels, and of filters the middle;
    around the middle of a smaller filter are zeros, so that it does the same. The rest keeps its initial weights.

    Args:
        network: with initial weights; changed.
        parent: trained.
        places: see :func:`places_of`.
        keeps_classes: whether both know the same classes; the last layer is new where they do not.
    """
    found = dict(parent.named_modules())
    layers = [(name, module) for name, module in network.named_modules() if any(True for _ in _own_tensors(module))]
    fates: dict[str, list[str]] = {"copied": [], "cropped": [], "new": []}
    last = next((name for name, module in reversed(layers) if isinstance(module, nn.Linear)), None)
    for name, module in layers:
        other = found.get(_name_in_parent(name, places) or "")
        is_other_task = name == last and not keeps_classes
        fate = "new" if other is None or is_other_task else _take(module, other)
        fates[fate].append(name)
    return Transformed(*(tuple(fates[fate]) for fate in ("copied", "cropped", "new")))


def _name_in_parent(name: str, places: Places) -> str | None:
    for own, other in places:
        if not own:
            return name
        if name == own or name.startswith(f"{own}."):
            return other + name[len(own) :]
    return None


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _take(module: nn.Module, other: nn.Module) -> str:
    """Copies the weights of another layer as far as they fit, and says how far that was."""
    own, theirs = dict(_own_tensors(module)), dict(_own_tensors(other))
    if type(module) is not type(other) or own.keys() != theirs.keys():
        return "new"
    if not _are_alike(module, other):
        return "new"
    if all(tensor.shape == theirs[name].shape for name, tensor in own.items()):
        for name, tensor in own.items():
            tensor.copy_(theirs[name])
        return "copied"
    if not isinstance(module, nn.Conv2d | nn.Linear | nn.modules.batchnorm._BatchNorm):
        return "new"
    for name, tensor in own.items():
        _fit(tensor, theirs[name])
    return "cropped"


def _are_alike(module: nn.Module, other: nn.Module) -> bool:
    """Whether convolutions have the same stride and both one filter per channel, or equally many groups."""
    if not isinstance(module, nn.Conv2d) or not isinstance(other, nn.Conv2d):
        return True
    per_channel = [each.groups == each.in_channels == each.out_channels for each in (module, other)]
    return module.stride == other.stride and (all(per_channel) or module.groups == other.groups)


def _fit(own: Tensor, theirs: Tensor) -> None:
    """Copies the first channels that both have, and of filters ``(o, i, h, w)`` the middle that both have."""
    if not own.dim():
        own.copy_(theirs)
        return
    ours: list[slice] = []
    others: list[slice] = []
    channels = tuple(slice(0, min(a, b)) for a, b in zip(own.shape[:2], theirs.shape[:2], strict=True))
    for size, their_size in zip(own.shape[2:], theirs.shape[2:], strict=True):
        shared = min(size, their_size)
        ours.append(slice((size - shared) // 2, (size - shared) // 2 + shared))
        others.append(slice((their_size - shared) // 2, (their_size - shared) // 2 + shared))
    if ours:
        own[channels] = 0
    own[(*channels, *ours)] = theirs[(*channels, *others)]
