"""The contract of spaces, as far as it is about their networks: shapes, costs, and what is taken for equal."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gennas.arch import Arch
from gennas.spaces.base import Space
from gennas.tasks import Task
from gennas.testing.contract import check, sound

#: Networks that are built, and pairs of networks that are compared, at most.
_NETWORKS, _PAIRS = 12, 6
#: How many of them are trained for a step; once these are built, no more than so many billions of multiply-adds are.
_TRAINED, _GIGAMACS = 3, 4.0
#: Claimed multiply-adds over those of convolutions and matrix products. Tables may count norms and pooling, too; twice
#: as many for every network are operations, of which a multiply-add has two.
_LEAST_MACS, _MOST_MACS = 0.98, 1.9
#: Relative difference of outputs that single precision explains.
_ROUNDING = 1e-3


def check_costs(space: Space, archs: Sequence[Arch], task: Task) -> None:
    """Checks what costs are, without any network.

    Raises:
        AssertionError: a contract is broken.
    """
    template = space.template
    shape = (len(template.slots), len(template.vocabulary))
    with sound("slot_costs(): works"):
        tables = space.slot_costs(task)
    for name, (base, table) in (tables or {}).items():
        check(table.shape == shape, f"slot_costs(): {name} has shape (slots, vocabulary) = {shape}", table.shape)
        least = float(min(base, table[template.allowed].min()))
        check(np.isfinite(least) and least >= 0, f"slot_costs(): {name} is finite and not negative", least)
    if tables is not None:
        check({"params_m", "macs_m"} <= set(tables), "slot_costs(): has params_m and macs_m", sorted(tables))
    with sound("cost_terms(): works"):
        terms = space.cost_terms(task)
    # Of every operation of the vocabulary, among those that the slot has.
    places = template.places
    for name, (_, parts) in (terms or {}).items():
        for part in parts:
            own = tuple(int(template.allowed[slot].sum()) for slot in part.slots)
            found = (part.values.shape, part.shares.shape)
            check(found == (own, own), f"cost_terms(): {name} of slots {part.slots} has shape {own}", found)
    for arch in archs:
        with sound(f"costs(): works for {arch.key!r}"):
            costs = space.costs(arch, task)
        check({"params_m", "macs_m"} <= set(costs), "costs(): has params_m and macs_m", sorted(costs))
        for name, value in costs.items():
            check(bool(np.isfinite(value)) and value >= 0, f"costs(): {name} is finite and not negative", value)
        for name, (base, table) in (tables or {}).items():
            value = base + sum(table[slot, template.vocabulary.index(op)] for slot, op in enumerate(arch.ops))
            agree = np.isclose(costs[name], value, rtol=1e-9, atol=0)
            check(bool(agree), f"costs(): {name} of {arch.key!r} is the sum of slot_costs(), {value:g}", costs[name])
        ops = places[range(len(arch.ops)), [template.vocabulary.index(op) for op in arch.ops]]
        for name, (base, parts) in (terms or {}).items():
            value = base + sum(float(part.values[tuple(ops[list(part.slots)])]) for part in parts)
            agree = np.isclose(costs.get(name, np.nan), value, rtol=1e-9, atol=0)
            check(
                bool(agree), f"costs(): {name} of {arch.key!r} is the sum of cost_terms(), {value:g}", costs.get(name)
            )


def check_networks(space: Space, archs: Sequence[Arch], task: Task) -> None:
    """Builds some networks: between them every operation in every slot, as far as a dozen can have them.

    Raises:
        AssertionError: a contract is broken.
    """
    chosen = _covering(((slot, op) for slot, op in enumerate(arch.ops)) for arch in archs)[:_NETWORKS]
    spent, ratios = 0.0, []
    for number, row in enumerate(chosen):
        arch = archs[row]
        if number >= _TRAINED and spent > _GIGAMACS:
            break
        with sound(f"build(): works for {arch.key!r}"):
            network = space.build(arch, task)
        check(isinstance(network, nn.Module), "build(): makes a torch.nn.Module", type(network).__name__)
        params = sum(parameter.numel() for parameter in network.parameters())
        costs = space.costs(arch, task)
        claimed = round(costs["params_m"] * 1e6)
        check(params == claimed, f"costs(): {arch.key!r} has the {params} parameters of its network", claimed)
        inputs = space.example_input(task)
        with sound(f"build(): the network of {arch.key!r} takes example_input()"):
            logits, operations = _counted(network.eval(), inputs)
        expected = (2, task.num_classes)
        check(tuple(logits.shape) == expected, f"build(): logits have shape {expected}", tuple(logits.shape))
        # Logits are of two inputs, and a multiply-add is two operations.
        counted, macs = operations / 4, costs["macs_m"] * 1e6
        spent += counted / 1e9
        ratios += [macs / counted] if counted else []
        check(
            macs >= _LEAST_MACS * counted,
            f"costs(): {arch.key!r} has the {counted:.0f} multiply-adds of its convolutions and matrix products",
            round(macs),
        )
        if number < _TRAINED:
            # Not black images: without variance, every batch norm multiplies gradients by hundreds.
            _check_trainable(network, _random_input(space, task, number), arch)
    least = min(ratios, default=1.0)
    check(
        least <= _MOST_MACS,
        "costs(): macs_m is about the multiply-adds of convolutions and matrix products (an operation is half of one)",
        f"{least:.3g} times as many for every network",
    )


def _counted(network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, int]:
    """Logits, and the operations of convolutions, matrix products and attention.

    These are counted on torch's ``meta`` device where the network works there: attention on a CPU is one fused
    operation that torch does not count.
    """
    cpu, meta = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with torch.no_grad():
        with cpu:
            logits: Tensor = network(*inputs)
        try:
            with meta:
                copy.deepcopy(network).to("meta")(*(part.to("meta") for part in inputs))
        except Exception:
            # Something needs values, such as a tensor that is neither parameter nor buffer.
            return logits, cpu.get_total_flops()
    return logits, meta.get_total_flops()


def _check_trainable(network: nn.Module, inputs: tuple[Tensor, ...], arch: Arch) -> None:
    with sound(f"build(): the network of {arch.key!r} can be trained"), torch.enable_grad():
        network.train()(*inputs).square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
    check(finite, f"build(): gradients of the network of {arch.key!r} are finite", "some that are not")


def check_equal_networks(space: Space, archs: Sequence[Arch], task: Task, seed: int) -> None:
    """Compares networks of archs and of their canonical forms, and of constant archs on two inputs.

    All weights of one shape get the same values, and biases none. Whatever the canonical form rightly identifies, by
    removing what has no effect or by reordering, gives the same logits then. The reverse does not hold: what is a
    difference of biases, or of the order of layers of one shape, is not seen. Networks that are random in themselves
    are not compared.

    Raises:
        AssertionError: a contract is broken.
    """
    pairs = [(arch, canonical) for arch in archs if (canonical := space.canonical(arch)).ops != arch.ops]
    pairs += [(a, c) for a in archs if (c := space.canonical(a)).ops == a.ops and c.edges != a.edges]
    changes = (
        {(a, b) for a, b in zip(arch.ops, other.ops, strict=True) if a != b} | {("edges", len(arch.edges))}
        for arch, other in pairs
    )
    with torch.random.fork_rng(devices=[]):
        first, second = (_random_input(space, task, seed + number) for number in range(2))
        for arch, canonical in [pairs[row] for row in _covering(changes)[:_PAIRS]]:
            logits = _logits(space, arch, task, first)
            if not _same(logits, _logits(space, arch, task, first)):
                continue
            other = _logits(space, canonical, task, first)
            difference = float((logits - other).abs().max() / logits.abs().max().clamp_min(1e-30))
            check(
                _same(logits, other),
                f"canonical(): {arch.key!r} and its canonical form {canonical.key!r} compute the same",
                f"logits that differ by {difference:.0%}",
            )
        constant = [arch for arch in archs if space.is_constant(arch)][:2]
        for arch in constant:
            check(
                _same(_logits(space, arch, task, first), _logits(space, arch, task, second)),
                f"is_constant(): the network of {arch.key!r} ignores its input, as no path leads from it to the output",
                "logits that depend on it",
            )


def _logits(space: Space, arch: Arch, task: Task, inputs: tuple[Tensor, ...]) -> Tensor:
    torch.manual_seed(0)
    network = space.build(arch, task).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim < 2:
                parameter.fill_(1.0)
            else:
                rng = torch.Generator().manual_seed(hash(tuple(parameter.shape)) % 2**31)
                parameter.copy_(torch.randn(parameter.shape, generator=rng) / parameter[0].numel() ** 0.5)
        logits: Tensor = network(*inputs)
    return logits


def _random_input(space: Space, task: Task, seed: int) -> tuple[Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    inputs = space.example_input(task)
    return tuple(torch.randn(part.shape, generator=rng) if part.is_floating_point() else part for part in inputs)


def _same(one: Tensor, other: Tensor) -> bool:
    scale = torch.maximum(one.abs().max(), other.abs().max())
    return bool((one - other).abs().max() <= _ROUNDING * scale)


def _covering(sets: Iterable[Iterable[object]]) -> list[int]:
    """Rows whose sets hold together what all hold, each chosen for the most that those before it lack."""
    left = {row: set(members) for row, members in enumerate(sets)}
    chosen = []
    while left:
        row = max(left, key=lambda row: len(left[row]))
        new = left.pop(row)
        if not new:
            break
        chosen.append(row)
        left = {other: members - new for other, members in left.items()}
    return chosen
