"""Blocks: the parts of a network that run one after the other, with shapes and costs, found by running it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gennas.spaces.drawing.svg import TIMES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gennas.arch import Arch
    from gennas.spaces.base import Space
    from gennas.tasks import Task

#: The source of what takes the network's input.
INPUT = -1
_WARM_UP, _REPEATS = 3, 15


@dataclass(frozen=True)
class Block:
    """A part of a network.

    Attributes:
        name: what its class is called, in words.
        detail: what it computes, or the choices that made it.
        shape: of its output, without the batch.
        sources: the blocks whose outputs it takes, :data:`INPUT` for the network's input.
        params: number of parameters.
        macs: multiply-adds for one input, of products and convolutions.
        seconds: median time for one input; None where it was not measured.
    """

    name: str
    detail: str
    shape: tuple[int, ...]
    sources: tuple[int, ...]
    params: int
    macs: float
    seconds: float | None = None


@dataclass(frozen=True)
class Blocks:
    """A network as blocks, in the order in which they run.

    Attributes:
        blocks: at least one.
        inputs: shape of the network's input, without the batch.
        params: of the whole network.
        macs: of the whole network, for one input.
    """

    blocks: tuple[Block, ...]
    inputs: tuple[int, ...]
    params: int
    macs: float


def blocks_of(space: Space, arch: Arch, task: Task, latency: bool = False) -> Blocks:
    """Runs the network of an arch once without values (on torch's ``meta`` device) and returns its blocks.

    Blocks are the modules that the network holds directly or in plain containers, down to the space's own classes. A
    layer that only changes values, such as an activation, counts to the block before it.

    Args:
        space: the arch's space.
        arch: the arch.
        task: sizes the network.
        latency: whether to measure the blocks' times, too, with torch on the CPU: random weights, batch 1 (2 where the
            space's networks take other inputs than images), median of 15 runs.

    Raises:
        InvalidInputError: the space builds no network for such a task.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                network = space.build(arch, task)
                inputs = tuple(part.to("meta") for part in space.example_input(task))
            found = _traced(network, inputs, space.block_words(arch))
        except (RuntimeError, NotImplementedError):
            # Something needs values, such as initial weights that are computed from others.
            found = _traced(space.build(arch, task), space.example_input(task), space.block_words(arch))
        if latency:
            found = _timed(found, space.build(arch, task), space.example_input(task), space.block_words(arch))
    return replace(found, blocks=_merged(found.blocks))


def _traced(network: nn.Module, inputs: tuple[Tensor, ...], words: Sequence[str]) -> Blocks:
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._pytree import tree_leaves, tree_map_only
    from torch.utils.flop_counter import FlopCounterMode

    origin_of: dict[int, tuple[int, ...]] = {id(part): (INPUT,) for part in inputs[:1]}
    kept: list[Any] = [*inputs]  # an id belongs to one tensor only while it lives

    def origins(values: object) -> tuple[int, ...]:
        found = (origin_of.get(id(part), ()) for part in tree_leaves(values))
        return tuple(dict.fromkeys(origin for part in found for origin in part))

    class Following(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = func(*args, **(kwargs or {}))
            found = origins((args, kwargs or {}))
            for part in tree_leaves(output):
                if isinstance(part, torch.Tensor):
                    kept.append(part)
                    origin_of[id(part)] = found
            return output

    batch = len(inputs[0])
    network.eval()
    units = list(_units(network, words))
    blocks: list[Block] = []
    open_: list[tuple[tuple[int, ...], float]] = []
    leaves: list[nn.Module] = []
    counter = FlopCounterMode(display=False)
    counted: set[int] = set()

    def own_output(part: Tensor) -> Tensor:
        # A new tensor: what a block hands on unchanged is its own output nevertheless.
        part = part.view_as(part)
        kept.append(part)
        origin_of[id(part)] = (len(blocks) - 1,)
        return part

    def begin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        leaves.clear()
        open_.append((origins((args, kwargs)), counter.get_total_flops()))

    def end(word: str, place: int) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            sources, before = open_.pop()
            parameters = [own for own in module.parameters() if id(own) not in counted]
            counted.update(map(id, parameters))
            is_first = not any(own.params for own in blocks)
            name = _name(module, is_first, place == len(units) - 1)
            blocks.append(
                Block(
                    name,
                    word or _detail(leaves, name),
                    next((tuple(part.shape[1:]) for part in tree_leaves(output) if hasattr(part, "shape")), ()),
                    sources,
                    sum(own.numel() for own in parameters),
                    (counter.get_total_flops() - before) / 2 / batch,
                )
            )
            return tree_map_only(torch.Tensor, own_output, output)

        return hook

    def leaf(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        leaves.append(module)

    with ExitStack() as held:
        for place, (module, word) in enumerate(units):
            for own in module.modules():
                if not any(True for _ in own.children()):
                    held.callback(own.register_forward_hook(leaf).remove)
            held.callback(module.register_forward_pre_hook(begin, with_kwargs=True).remove)
            held.callback(module.register_forward_hook(end(word, place)).remove)
        with torch.no_grad(), counter, Following():
            network(*inputs)
    params = sum(own.numel() for own in network.parameters())
    return Blocks(tuple(blocks), tuple(inputs[0].shape[1:]), params, counter.get_total_flops() / 2 / batch)


def _units(network: nn.Module, words: Sequence[str]) -> Iterator[tuple[nn.Module, str]]:
    """The modules that are blocks, with what the space says about them."""
    from torch import nn

    children = list(network.children())
    if type(network) is nn.Sequential and len(children) == len(words):
        yield from zip(children, words, strict=True)
        return

    def parts(module: nn.Module) -> Iterator[nn.Module]:
        inner = list(module.children())
        is_list = isinstance(module, nn.ModuleList | nn.ModuleDict)
        if is_list or (type(module) is nn.Sequential and any(_is_whole(own) for own in inner)):
            for own in inner:
                yield from parts(own)
        else:
            yield module

    for child in children or [network]:
        yield from ((module, "") for module in parts(child))


def _is_whole(module: nn.Module) -> bool:
    """Whether a module is more than one layer."""
    return any(True for _ in module.children()) or not type(module).__module__.startswith("torch.nn")


def _merged(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Single layers that only change values, such as activations, become part of the block before."""
    found: list[Block] = []
    place_of = {INPUT: INPUT}
    for number, block in enumerate(blocks):
        # What a space says something about is a choice of the arch.
        is_small = block.macs == 0 and block.name in _QUIET and not block.detail
        if found and is_small and block.sources == (number - 1,) and block.shape == found[-1].shape:
            times = [own.seconds for own in (found[-1], block) if own.seconds is not None]
            found[-1] = replace(
                found[-1],
                detail=_joined([found[-1].detail, block.name]),
                params=found[-1].params + block.params,
                seconds=sum(times) if times else None,
            )
        else:
            found.append(replace(block, sources=tuple(dict.fromkeys(place_of[i] for i in block.sources))))
        place_of[number] = len(found) - 1
    return tuple(found)


def _timed(found: Blocks, network: nn.Module, inputs: tuple[Tensor, ...], words: Sequence[str]) -> Blocks:
    """The same blocks with their times."""
    import torch

    if len(inputs) == 1:
        inputs = (inputs[0][:1],)
    network.eval()
    begun: list[float] = []
    spans: list[float] = []

    def begin(module: nn.Module, args: tuple[Any, ...]) -> None:
        begun.append(perf_counter())

    def end(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        spans.append(perf_counter() - begun.pop())

    runs = []
    with torch.no_grad():
        for module, _ in _units(network, words):
            module.register_forward_pre_hook(begin)
            module.register_forward_hook(end)
        for run in range(_WARM_UP + _REPEATS):
            spans.clear()
            network(*inputs)
            if run >= _WARM_UP:
                runs.append(list(spans))
    times = [median(of_block) for of_block in zip(*runs, strict=True)]
    return replace(found, blocks=tuple(replace(own, seconds=t) for own, t in zip(found.blocks, times, strict=True)))


#: Layers that only change values.
_QUIET = frozenset(("relu", "relu6", "gelu", "silu", "hardswish", "dropout", "batch norm", "identity"))


def _name(module: nn.Module, is_first: bool, is_last: bool) -> str:
    from torch import nn

    if type(module) is nn.Sequential:
        return "stem" if is_first else "head" if is_last else "block"
    name = type(module).__name__
    name = re.sub(r"(?<=.)Network$", "", name).replace("ReLU", "Relu").replace("2d", "").replace("SiLU", "Silu")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower().replace("_", " ").strip()


def _detail(leaves: Sequence[nn.Module], name: str) -> str:
    """The layers of a block: how often which kernels occur, in the order of their first call."""
    words = [word for word in map(_layer, leaves) if word and word != name]
    return _joined([word if times == 1 else f"{times}{TIMES} {word}" for word, times in Counter(words).items()])


def _layer(module: nn.Module) -> str:
    """A layer that computes something in a few letters; empty for what only changes values."""
    from torch import nn

    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        depthwise = module.groups > 1 and module.groups == module.in_channels
        kind = "depthwise" if depthwise else f"conv in {module.groups} groups" if module.groups > 1 else "conv"
        dilated = " dilated" if max(module.dilation) > 1 else ""
        return f"{_sides(module.kernel_size)}{dilated} {kind}"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return f"{_sides(module.kernel_size)} {'max' if isinstance(module, nn.MaxPool2d) else 'avg'} pool"
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return "global pool"
    if isinstance(module, nn.Identity):
        return "identity"
    # A class of the space's own without layers in it, such as a resizing.
    return "" if type(module).__module__.startswith("torch.nn") else _name(module, False, False)


def _sides(kernel: int | tuple[int, ...]) -> str:
    return TIMES.join(map(str, (kernel, kernel) if isinstance(kernel, int) else kernel))


def _joined(words: Sequence[str]) -> str:
    return ", ".join(word for word in words if word)
