"""Peak memory of a network's activations, without computing anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Operators whose result can take the place of an argument that nothing needs afterwards, by their names in ATen. A
#: runtime computes these within the operator before, or in its buffer; batch norms become part of convolutions.
_IN_PLACE = frozenset(
    (
        *("add", "add_", "sub", "mul", "mul_", "div", "relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_"),
        *("sigmoid", "sigmoid_", "tanh", "silu", "silu_", "gelu", "elu", "leaky_relu", "native_dropout", "dropout"),
        *("hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_"),
        *("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
    )
)


@dataclass(frozen=True)
class _Step:
    """One operator: which buffers it reads and writes, by number."""

    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]


def peak_memory_mb(make: Callable[[], nn.Module], inputs: Sequence[Tensor]) -> float:
    """The largest sum of live activations while a network runs once, in MB (10^6 bytes).

    Operators run in the order of the network's ``forward``. A tensor lives from the operator that makes it to the last
    one that reads it; the input lives from the beginning, the output to the end. While an operator runs, its arguments
    and its result are alive. Weights are no activations, tensors of another shape only take no memory, and element-wise
    operators and batch norms write into the place of an argument that nothing reads later. What an operator's
    implementation needs for itself is not counted.

    Args:
        make: builds the network.
        inputs: its arguments, for one image; only their shapes and types matter.

    Raises:
        RuntimeError: the network does not take such inputs; torch says why.
    """
    import torch

    # Initial weights must not depend on what was traced before.
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                network = make()
            return _peak(network, [tensor.to("meta") for tensor in inputs])
        except RuntimeError:
            # Something needs values; or it fails there as well.
            return _peak(make(), [tensor.to("cpu") for tensor in inputs])


def _peak(network: nn.Module, inputs: Sequence[Tensor]) -> float:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    network.eval()
    buffers: dict[tuple[int, int, int], int] = {}
    sizes: list[int] = []
    held: list[Any] = []  # as long as storages are held, none has the address of another
    steps: list[_Step] = []
    weights = {weight.untyped_storage()._cdata for weight in (*network.parameters(), *network.buffers())}

    def numbers(tree: object, whole: bool = False) -> tuple[int, ...]:
        """Buffers of tensors, or of what they are parts of."""
        found = []
        for leaf in tree_leaves(tree):
            if not isinstance(leaf, torch.Tensor):
                continue
            storage = leaf.untyped_storage()
            if storage._cdata in weights:
                continue
            # A part of a tensor is a view here, and a copy elsewhere.
            size = storage.nbytes() if whole else leaf.numel() * leaf.element_size()
            part = (int(leaf.storage_offset()), size) if size < storage.nbytes() else (0, 0)
            number = buffers.setdefault((storage._cdata, *part), len(sizes))
            if number == len(sizes):
                sizes.append(size)
                held.append(storage)
            found.append(number)
        return tuple(dict.fromkeys(found))

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            # A part of a part is made of the whole, at once.
            reads = numbers((args, kwargs), whole=func.is_view)
            result = func(*args, **(kwargs or {}))
            steps.append(_Step(func.__name__.partition(".")[0], reads, numbers(result)))
            return result

    given = numbers(inputs)
    with torch.no_grad(), Recorder():
        output = network(*inputs)
    return _largest(steps, sizes, given, numbers(output)) / 1e6


def _largest(steps: Sequence[_Step], sizes: Sequence[int], given: Sequence[int], returned: Sequence[int]) -> int:
    """The largest sum of the sizes of live buffers, in bytes."""
    needed, kept = {*returned}, list[_Step]()
    for step in reversed(steps):  # an exported network has no operators that nothing needs
        if needed.intersection(step.writes):
            needed |= {*step.reads}
            kept.append(step)
    steps = kept[::-1]
    last = {number: at for at, step in enumerate(steps) for number in step.reads}
    last |= dict.fromkeys(returned, len(steps))
    live, largest = set(given), sum(sizes[number] for number in given)
    for at, step in enumerate(steps):
        # What nothing reads is no output of an exported operator, such as the indices of a max pooling.
        new = [number for number in step.writes if number not in live and number in last]
        ending = [number for number in step.reads if number in live and last[number] == at]
        total = sum(sizes[number] for number in live) + sum(sizes[number] for number in new)
        if step.name in _IN_PLACE:
            total -= next((sizes[old] for old in ending if sizes[old] in [sizes[number] for number in new]), 0)
        largest = max(largest, total)
        live = (live | set(new)) - set(ending)
    return largest
