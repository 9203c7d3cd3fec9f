"""Any chain of inverted residual blocks as the parent of an elastic space.

A network of the user's own becomes a parent in a short file::

    class Mine(ElasticSpace):
        name = "mine"
        parent = parent_of(my_network(), "My network", resolution=96, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

        @classmethod
        def parent_network(cls):
            return my_network()  # with its weights

Its layers are found by their order, whatever they are called; whether the parent that is read from them computes the
same is tested on random images before any weights are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gennas.errors import InvalidInputError
from gennas.spaces.lite.parent import ACTIVATIONS, Parent, ParentStage
from gennas.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gennas.spaces.lite.elastic import ElasticSpace

#: Largest difference of logits that rounding explains, relative to the largest logit.
_TOLERANCE = 1e-4


def parent_of(
    network: nn.Module,
    title: str,
    *,
    resolution: int,
    mean: Sequence[float],
    std: Sequence[float],
    activation: str | None = None,
) -> Parent:
    """The parent that a network is: a 3x3 convolution of stride 2, inverted residual blocks, 1x1, mean, linear.

    Args:
        network: its layers are defined in the order in which they are used.
        title: as people call it.
        resolution: side of the images it was trained on.
        mean: of its input's channels, on the scale from 0 to 1.
        std: likewise.
        activation: a name in ``ACTIVATIONS``, where the network has no modules that say it.

    Raises:
        InvalidInputError: it is no such chain; names the first layer that does not fit.
    """
    names = {module: name for name, module in network.named_modules()}
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    for found, what in ((convs[3:], "convolutions"), (linears, "linear layer")):
        if not found:
            raise InvalidInputError(f"{title} has too few layers to be a chain of blocks: no {what}.")
    biased = next((conv for conv in convs if conv.bias is not None), None)
    if biased is not None or len(norms) != len(convs) or len(linears) != 1:
        at = f", e.g. {names[biased]} (of squeeze-excite?)" if biased is not None else ""
        raise InvalidInputError(
            f"{title} has {len(convs)} convolutions, {len(norms)} batch norms and {len(linears)} linear layers; "
            f"expected a batch norm after every convolution, one linear layer, and no convolution with a bias{at}."
        )
    stem, head = convs[0], convs[-1]
    if (stem.kernel_size, stem.stride, stem.groups) != ((3, 3), (2, 2), 1) or head.kernel_size != (1, 1):
        raise InvalidInputError(f"{title} begins with {stem} and ends with {head}; expected 3x3 of stride 2, and 1x1.")
    dropouts = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    strided = [conv for conv in convs if conv.stride != (1, 1)]
    symmetric = all(conv.padding == tuple(side // 2 for side in conv.kernel_size) for conv in strided)
    return Parent(
        title,
        stem.out_channels,
        tuple(_stages(convs[1:-1], stem.out_channels, names, title)),
        head.out_channels,
        resolution,
        tuple(mean),
        tuple(std),
        norms[0].eps,
        dropouts[-1] if dropouts else 0.0,
        activation or _activation(network, title),
        "symmetric" if symmetric else "same",
    )


def _activation(network: nn.Module, title: str) -> str:
    kinds = {name: getattr(nn, kind) for name, kind in ACTIVATIONS.items()}
    found = {name for name, kind in kinds.items() for module in network.modules() if type(module) is kind}
    if len(found) != 1:
        what = f"activations of several kinds ({', '.join(sorted(found))})" if found else "no activations"
        raise InvalidInputError(
            f"{title} has {what} among its modules; expected one of {', '.join(ACTIVATIONS)}. Give `activation` where "
            "it is a function."
        )
    return found.pop()


def _stages(convs: Sequence[nn.Conv2d], channels: int, names: dict[nn.Module, str], title: str) -> list[ParentStage]:
    """Blocks with the same choices in a row are a stage."""
    stages: list[ParentStage] = []
    rest = list(convs)
    while rest:
        widens = rest[0].groups == 1
        block, rest = rest[: 2 + widens], rest[2 + widens :]
        depthwise = block[widens] if len(block) == 2 + widens else None
        hidden = block[0].out_channels
        one = all(conv.kernel_size == (1, 1) and conv.stride == (1, 1) for conv in block if conv is not depthwise)
        if (
            depthwise is None
            or not one
            or block[0].in_channels != channels
            or (depthwise.groups, depthwise.in_channels, depthwise.out_channels) != (hidden,) * 3
            or block[-1].groups != 1
            or hidden % channels
            or (hidden == channels) == widens
        ):
            raise InvalidInputError(
                f"{title}: layer {names[block[0]]} begins no inverted residual block of {channels} channels: expected "
                "a 1x1 convolution to a multiple of them, a depthwise one, and a 1x1 convolution."
            )
        width, stride = block[-1].out_channels, depthwise.stride[0]
        kernel, expansion = depthwise.kernel_size[0], hidden // channels
        last = stages[-1] if stages else None
        alike = (width, kernel, expansion) == ((last.channels, last.kernel, last.expansion) if last else None)
        if last is not None and alike and stride == 1:
            stages[-1] = ParentStage(width, last.stride, last.depth + 1, kernel, expansion)
        else:
            stages.append(ParentStage(width, stride, 1, kernel, expansion))
        channels = width
    return stages


def chain_state(space: ElasticSpace, network: nn.Module) -> dict[str, Tensor]:
    """The weights of a network by the names of the parent's network in a space.

    Args:
        space: whose parent was read from the network.
        network: with its weights; it is left in evaluation mode.

    Raises:
        InvalidInputError: it computes something else than the parent with these weights.
    """
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    side, channels = space.parent.resolution, len(space.parent.mean)
    classes = next((layer.out_features for layer in layers if isinstance(layer, nn.Linear)), 1)
    task = Task("parent", (channels, side, side), classes)
    own = space.build(space.parent_arch(side), task).eval()
    places = [module for module in own.modules() if isinstance(module, kinds)]
    if [_shapes(layer) for layer in layers] != [_shapes(place) for place in places]:
        raise InvalidInputError(f"the network of space {space.name!r} has other layers than its parent.")
    for place, layer in zip(places, layers, strict=True):
        place.load_state_dict(layer.state_dict())
    images = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = network.eval()(images), own(images)
    difference = float((expected - found).abs().max() / expected.abs().max().clamp_min(1))
    if not difference < _TOLERANCE:
        raise InvalidInputError(
            f"the network of space {space.name!r} computes something else than its parent with the same weights: "
            f"logits differ by {difference:.2g} of the largest. Inputs are added where a block has stride 1 and as "
            f"many output as input channels; activation {space.parent.activation}, padding {space.parent.padding}."
        )
    return own.state_dict()


def _shapes(layer: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name.rpartition(".")[2], tuple(values.shape)) for name, values in layer.state_dict().items()]
