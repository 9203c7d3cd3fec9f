"""PartsSupernet: the supernet that a space made of parts has by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.spaces import PartsSpace
from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.network import CellNetwork, value_of
from gennas.supernets.base import Supernet
from gennas.supernets.pieces import Piece, all_pieces, pieces_of
from gennas.supernets.statistics import keep_no_statistics
from gennas.tasks import Task

#: Modules with weights of their own, at most: more than these share too little to be trained together.
MOST_MODULES = 2_000


class PartsSupernet(Supernet):
    """Every choice of every block has weights of its own; of a choice of channels, archs use the first ones.

    A block of an arch is the module that the space builds for it, computed with weights of the supernet. Blocks at one
    place that differ by channels alone are prefixes of the widest, as in slimmable networks (Yu et al., "Slimmable
    Neural Networks", ICLR 2019, https://arxiv.org/abs/1812.08928), provided that their tensors have the same names;
    where not, as of an identity beside a convolution, each has its own.

    Args:
        space: of the archs.
        task: what the networks are for.

    Raises:
        InvalidInputError: a space that builds its networks in another way than of its parts, or that has too many.
    """

    space: PartsSpace

    def __init__(self, space: PartsSpace, task: Task) -> None:
        super().__init__()
        if type(space).build is not PartsSpace.build:
            raise InvalidInputError(
                f"space {space.name!r} overrides build(), so its supernet does not follow from its parts; register "
                f"one: gennas.supernets.SUPERNETS.register({space.name!r}, YourSupernet)."
            )
        self.space, self.task = space, task
        stem, self._stem_channels = space.stem(task)
        self.stem = keep_no_statistics(stem)
        self.stored = nn.ModuleDict()
        #: What a piece's weights are part of: by place, choices and widths, or of the widest by place and choices.
        self._names: dict[tuple[object, ...], str] = {}
        #: Modules without values, which the stored ones' are computed with.
        self._frames: dict[tuple[object, ...], nn.Module] = {}
        self._store()

    def _store(self) -> None:
        groups: dict[tuple[object, ...], list[Piece]] = {}
        for piece in all_pieces(self.space, self.task, self._stem_channels):
            groups.setdefault(piece.kind, []).append(piece)
        if len(groups) > MOST_MODULES:
            raise InvalidInputError(
                f"space {self.space.name!r} has {len(groups):,} modules that differ by more than channels; expected "
                f"at most {MOST_MODULES:,}. Register a supernet that shares more: "
                f"gennas.supernets.SUPERNETS.register({self.space.name!r}, YourSupernet)."
            )
        for kind, pieces in groups.items():
            widest = Piece.widest(pieces)
            module = widest.built()
            self._add(kind, module, widest)
            sizes = _sizes(module)
            for piece in pieces:
                if piece.widths != widest.widths and not _is_part(_sizes(own := piece.built()), sizes):
                    self._add((*kind, piece.widths), own, piece)

    def _add(self, key: tuple[object, ...], module: nn.Module, piece: Piece) -> None:
        text = name = re.sub(r"\W+", "_", piece.text).strip("_")
        number = 1
        while name in self.stored:
            number += 1
            name = f"{text}_{number}"
        self.stored[name] = keep_no_statistics(module)
        self._names[key] = name

    def _tensors(self, piece: Piece) -> dict[str, Tensor]:
        """The weights and statistics of a piece, by their names in its module."""
        name = self._names.get((*piece.kind, piece.widths)) or self._names[piece.kind]
        module, frame = self.stored[name], dict(_named_tensors(self._frame(piece)))
        return {name: _first(tensor, frame[name].shape) for name, tensor in _named_tensors(module)}

    def _frame(self, piece: Piece) -> nn.Module:
        key = (*piece.kind, piece.widths)
        if key not in self._frames:
            # Initial weights, which nobody needs, take no numbers from those who draw them for something else.
            with torch.random.fork_rng(devices=[]):
                self._frames[key] = _emptied(keep_no_statistics(piece.built()))
        return self._frames[key].train(self.training)

    def _blocks(self, arch: Arch) -> Iterator[list[Piece]]:
        """What the blocks of an arch, and its head, are made of."""
        options = self.space.options_of(self.space.arrays([arch])[0][0])
        yield from pieces_of(self.space, self.task, self._stem_channels, options)

    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        size = self.space.layout.size
        if size is not None:
            options: Mapping[int, Option] = self.space.options_of(self.space.arrays([arch])[0][0])
            side = int(value_of(size, options))
            x = functional.interpolate(x, size=(side, side), mode="bilinear", antialias=False)
        x = self.stem(x)
        for pieces in self._blocks(arch):
            first = pieces[0]
            if first.cell is None:
                x = functional_call(self._frame(first), self._tensors(first), (x,))
                continue
            layers: list[nn.Module | None] = [None] * len(first.cell.edges)
            for piece in pieces[1:]:
                layers[cast(int, piece.edge)] = self._frame(piece)
            frame = CellNetwork(first.cell, layers, self._frame(first)).train(self.training)
            x = functional_call(frame, self._joined(pieces), (x,))
        return x

    def _joined(self, pieces: list[Piece]) -> dict[str, Tensor]:
        """The tensors of all pieces of a block, by their names in the block."""
        return {f"{piece.prefix}{name}": tensor for piece in pieces for name, tensor in self._tensors(piece).items()}

    @torch.no_grad()
    def inherit(self, arch: Arch, task: Task | None = None) -> nn.Module:
        network = cast(nn.Sequential, self.space.build(arch, task or self.task))
        modules = list(network.children())[self.space.layout.size is not None :]
        modules[0].load_state_dict(self.stem.state_dict())
        for module, pieces in zip(modules[1:], self._blocks(arch), strict=True):
            found = self._joined(pieces)
            for name, tensor in _named_tensors(module):
                tensor.copy_(found[name])
        return network.to(next(self.parameters()).device).train(self.training)


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _sizes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in _named_tensors(module)}


def _is_part(own: Mapping[str, torch.Size], whole: Mapping[str, torch.Size]) -> bool:
    """Whether tensors are prefixes of others, by their names and sizes."""
    return own.keys() == whole.keys() and all(
        len(size) == len(whole[name]) and all(a <= b for a, b in zip(size, whole[name], strict=True))
        for name, size in own.items()
    )


def _first(tensor: Tensor, size: torch.Size) -> Tensor:
    return tensor if tensor.shape == size else tensor[tuple(slice(0, count) for count in size)]


def _emptied(module: nn.Module) -> nn.Module:
    """The module, whose tensors have sizes but no values."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to("meta")
    return module
