"""A parent's network with its pretrained weights, for a task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gennas.errors import InvalidInputError, short
from gennas.spaces.lite.chain import chain_state
from gennas.tasks.base import image_shape
from gennas.weights import find_weights, read_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gennas.spaces.lite.elastic import ElasticSpace
    from gennas.tasks import Task

_PARTS = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
#: The first convolution of a parent's network.
_STEM = re.compile(r"1\.\d+\.weight")


def pretrained_network(
    space: ElasticSpace,
    task: Task,
    *,
    weights: Path | None = None,
    random: bool = False,
    side: int | None = None,
) -> nn.Module:
    """The network of a space's parent, with pretrained weights and a classifier of its own.

    The classifier's weights are random, unless the task has as many classes as the pretrained one. For images of one
    channel the kernels of the first convolution are added up: where all channels are standardised alike, a grey image
    gives the logits of the same image in colour.

    Args:
        space: of the parent.
        task: has the channels and the classes; images of another size are resized in the network.
        weights: a file, or a folder with one; by default, those of the installed package.
        random: whether to do without pretrained weights.
        side: resolution of the network, in pixels; by default the parent's own.

    Raises:
        DataMissingError: there are no weights; says how to get them.
        InvalidInputError: they are damaged, or those of another network; or the task has two channels, or more than
            three, none of which the weights know.
    """
    network = space.build(space.parent_arch(side), task)
    if random:
        return network
    channels = image_shape(task, f"space {space.name!r}")[0]
    if channels not in (1, len(space.parent.mean)):
        raise InvalidInputError(
            f"task {task.name!r} has images of {channels} channels; the pretrained weights of {space.name} know "
            f"{len(space.parent.mean)}, or 1. Give such a task, or ask for random weights."
        )
    own = space.parent_network()
    if own is not None and weights is None and space.brings_weights:
        load_published(network, chain_state(space, own))
        return network
    state = read_weights(space.name, weights)
    try:
        if own is not None and {*state} == {*own.state_dict()}:
            own.load_state_dict(state)
            state = chain_state(space, own)
        load_published(network, state)
    except (InvalidInputError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInputError(f"{find_weights(space.name, weights).path}: {short(reason, 400)}") from error
    return network


def load_published(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads a parent's weights into its network; a classifier for other classes keeps its own.

    Args:
        network: of the parent's arch, as ``space.build(space.parent_arch(), task)`` returns it.
        state: by the names of ``efficientnet-lite-pytorch``, or by those of the network itself.

    Raises:
        InvalidInputError: the weights are those of another network.
    """
    own = network.state_dict()
    found = _renamed(state, own) if "_conv_stem.weight" in state else dict(state)
    stem = next((name for name in own if _STEM.fullmatch(name)), "")
    if stem in found and own[stem].shape[1] == 1 < found[stem].shape[1]:
        found[stem] = found[stem].sum(1, keepdim=True)
    classifier = [name for name in own if ".classify." in name]
    if any(name in found and found[name].shape != own[name].shape for name in classifier):
        found |= {name: own[name] for name in classifier}
    odd = sorted({*own} ^ {*found}) or [name for name, values in found.items() if values.shape != own[name].shape]
    if odd:
        shapes = [tuple(some[odd[0]].shape) if odd[0] in some else "nothing" for some in (found, own)]
        raise InvalidInputError(
            f"these are the weights of another network: {odd[0]} is {shapes[0]}, expected {shapes[1]} ({len(odd)} of "
            f"{len(own)} differ). Give those of the parent."
        )
    network.load_state_dict(found)


def _renamed(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state by the names of this package's networks; unknown names as they are."""
    found = {}
    blocks = {int(match[1]) for name in state if (match := _BLOCK.fullmatch(name))}
    head = str(len(blocks) + 2)
    plain = {
        "_conv_stem": "1.1",
        "_bn0": "1.2",
        "_conv_head": f"{head}.widen.0",
        "_bn1": f"{head}.widen.1",
        "_fc": f"{head}.classify",
    }
    for name, values in state.items():
        if match := _BLOCK.fullmatch(name):
            place, part = int(match[1]) + 2, match[2]
            if part in ("_depthwise_conv", "_bn1"):
                # A strided filter stands behind its padding.
                first = int(f"{place}.filter.0.weight" not in own)
                part = f"filter.{first + (part == '_bn1')}"
            else:
                part = _PARTS.get(part, part)
            found[f"{place}.{part}.{match[3]}"] = values
            continue
        part, _, last = name.partition(".")
        found[f"{plain.get(part, part)}.{last}"] = values
    return found
