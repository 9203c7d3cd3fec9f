"""The contract of spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces.base import Space
from gennas.spaces.template import FIXED, FORBIDDEN, FREE
from gennas.tasks import Task, get_task
from gennas.testing.contract import check, sound
from gennas.testing.space_networks import check_costs, check_equal_networks, check_networks

#: Spaces up to this size are enumerated whole.
_SMALL = 100_000
#: How many archs are drawn first, and of how many the costs are summed: counting them may take a tenth of a second.
_SAMPLES, _COSTS = 20, 30


def check_space(space: Space, task: Task | None = None, seed: int = 0, archs: int = 10_000) -> None:
    """Tests that the parts of a space fit together.

    The template is well formed; samples are valid; keys and canonical forms lead back to the same archs;
    broken archs are found, one by one and many at once; numberings lead back to the same canonical_form; an
    enumeration is complete; costs agree with the networks that are built; networks of archs that have one canonical
    form compute the same.

    What it cannot see: a rule that is wrong but consistent; a defect of an arch that is not among those looked at; a
    canonical form that keeps apart what computes the same; and differences of networks that show only with biases, or
    with different weights in layers of one shape (see :func:`gennas.testing.space_networks.check_equal_networks`).

    Args:
        space: the space, with a skeleton small enough to build a few networks.
        task: what to build them for; CIFAR-10's shape by default.
        seed: chooses the archs that are looked at.
        archs: how many are written and read again, at most.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    task = task or get_task("cifar10")
    rng = np.random.default_rng(seed)
    _check_template(space)
    with sound("sample(): draws an arch"):
        samples = [space.sample(rng) for _ in range(_SAMPLES)]
    for arch in samples:
        _check_arch(space, arch)
        _check_notation(space, arch)
        _check_broken(space, arch)
    _check_rules(space, samples, torch.Generator().manual_seed(seed))
    _check_numbering(space, samples, rng)
    if space.size is not None and space.size <= _SMALL:
        every = _check_enumeration(space)
        chosen = [every[row] for row in rng.permutation(len(every))[:archs]]
    else:
        chosen = list(dict.fromkeys([*samples, *(space.sample(rng) for _ in range(archs - len(samples)))]))
    for arch in chosen:
        _check_key(space, arch)
        check(arch.space == space.name, "an arch bears the name of its space", arch.space)
    reached = not all(map(space.is_constant, chosen))
    check(reached, "template: in some archs a path leads from a source to a sink", "none in any of them")
    check_costs(space, chosen[:_COSTS], task)
    check_networks(space, chosen[:200], task)
    for arch in chosen[:500]:
        _check_canonical(space, arch)
    check_equal_networks(space, chosen[:500], task, seed)


def _check_template(space: Space) -> None:
    template = space.template
    shipped = {"mobilenet_v3", "nasbench101", "nasbench201", "nasbench_graph", "transnas_micro"} & {space.name}
    ours = type(space).__module__.startswith("gennas.")
    check(ours or not shipped, "name: is none of those that gennas has", space.name)
    for words in (template.slots, template.vocabulary):
        check(len(set(words)) == len(words), "template: slot and operation names are distinct", words)
        bad = [word for word in words if not word.strip() or {",", "="} & set(word)]
        check(not bad, "template: names are not empty, and have no ',' or '=', by which partial() reads choices", bad)
    check(template.allowed.dtype == bool, "template.allowed is boolean", template.allowed.dtype)
    marks = set(np.unique(template.edges).tolist())
    check(marks <= {FORBIDDEN, FIXED, FREE}, "template.edges holds only FORBIDDEN, FIXED and FREE", marks)
    check(template.decisions > 0, "template: there is something to decide", template.decisions)
    known = space.absent is None or space.absent in template.vocabulary
    check(known, "absent is None or an operation of the vocabulary", space.absent)


def _check_arch(space: Space, arch: Arch) -> None:
    check(arch.space == space.name, "an arch bears the name of its space", arch.space)
    found = space.rule_problems(arch)
    check(isinstance(found, list), "rule_problems(): returns a list of sentences", found)
    check(not space.problems(arch), "sample(): draws valid archs", space.problems(arch))
    _check_key(space, arch)
    made = space.arch(arch.ops, arch.edges)
    check(made == arch, "arch(arch.ops, arch.edges) == arch", made)
    _check_canonical(space, arch)


def _check_key(space: Space, arch: Arch) -> None:
    with sound(f"parse(): reads its own key {arch.key!r}"):
        found = space.parse(arch.key)
    shared = found != arch and found.key == arch.key
    check(not shared, f"key(): no two archs share a key, as {arch.key!r} is that of {found.ops}", arch.ops)
    check(found == arch, "parse(arch.key) == arch", found)


def _check_canonical(space: Space, arch: Arch) -> None:
    with sound(f"canonical(arch) is valid, as of {arch.key!r}"):
        canonical = space.canonical(arch)
    check(not space.problems(canonical), "canonical(arch) is valid", space.problems(canonical))
    again = space.canonical(canonical)
    check(again == canonical, "canonical(canonical(arch)) == canonical(arch)", (again.key, canonical.key))
    check(space.parse(canonical.key) == canonical, "parse(canonical.key) == canonical", canonical.key)


def _check_notation(space: Space, arch: Arch) -> None:
    told = "=" not in arch.key or type(space).partial is not Space.partial
    check(told, "key(): has no '=', by which partial() knows that it reads choices", arch.key)
    partial, whole = space.partial(arch.key), PartialArch(space.name, arch.ops, arch.edges)
    check(partial == whole, "partial(arch.key): leaves nothing open, and has the arch's choices", partial)
    for op in dict.fromkeys(arch.ops):
        text = arch.key.replace(op, "?", 1)
        if isinstance(_tried(space.parse, text), Arch):
            sound = getattr(_tried(space.read, text), "is_whole", False)
            check(sound, "parse(): refuses what read() does not find whole", text)


def _tried(function: Callable[[str], object], text: str) -> object:
    try:
        return function(text)
    except InvalidArchError as error:
        return error


def _check_broken(space: Space, arch: Arch) -> None:
    fixed = space.template.fixed_edges
    broken = {
        "an operation that is not in the vocabulary": (("no such operation", *arch.ops[1:]), arch.edges),
        "a missing operation": (arch.ops[:-1], arch.edges),
        "a backward edge": (arch.ops, (*arch.edges, (len(arch.ops) - 1, 0))),
    }
    if fixed:
        broken["a missing fixed edge"] = (arch.ops, tuple(edge for edge in arch.edges if edge != fixed[0]))
    for defect, (ops, edges) in broken.items():
        found = space.problems(Arch(arch.space, "", ops, edges))
        check(bool(found), f"problems(): names {defect}", found)
        check(all(isinstance(text, str) and text for text in found), "problems(): says it in words", found)
    refusal = _tried(space.parse, "no arch at all")
    check(isinstance(refusal, InvalidArchError), "parse(): raises InvalidArchError for a malformed string", refusal)
    check("no arch at all" in str(refusal), "parse(): shows the string it cannot read", refusal)


def _check_rules(space: Space, archs: list[Arch], torch_rng: torch.Generator) -> None:
    graph = GraphBatch.from_archs(archs * 10, space.template)
    # Few or many choices are drawn anew, or none: what breaks a rule only just is the easiest to miss.
    level = (torch.rand(len(graph), 1, generator=torch_rng) - 0.1).clamp_min(0)
    drawn = torch.multinomial(decisions_of(space.template).allowed.float(), len(graph), True, generator=torch_rng).T
    anew = torch.rand(drawn.shape, generator=torch_rng) < level
    wild = graph.decide(torch.arange(drawn.shape[1]).expand_as(drawn), torch.where(anew, drawn, graph.choices()))
    graphs = wild.ops.numpy(), wild.edges.numpy() == 1
    keeps = space.keeps_rules(*graphs)
    check(keeps.dtype == bool, "keeps_rules(): is boolean", keeps.dtype)
    # The method of Space asks rule_problems() about one graph after the other.
    _check_same((keeps,), (Space.keeps_rules(space, *graphs),), "keeps_rules(): agrees with rule_problems()")


def _check_numbering(space: Space, archs: list[Arch], rng: np.random.Generator) -> None:
    graphs = space.arrays(archs)
    moved, first = space.permuted(*graphs, rng), space.canonical_form(*graphs)
    for name, (ops, edges) in {"permuted()": moved, "canonical_form()": first}.items():
        found = GraphBatch.from_arrays(ops, edges, space.template).to_archs(space)
        broken = sum(arch is None or bool(space.problems(arch)) for arch in found)
        check(not broken, f"{name}: a valid arch stays valid", f"{broken} that do not")
    _check_same(space.canonical_form(*moved), first, "canonical_form(): the same after permuted() as before")
    _check_same(space.canonical_form(*first), first, "canonical_form(): a representative is its own")
    for arch, ops, edges in zip(archs, *moved, strict=True):
        (other,) = GraphBatch.from_arrays(ops[None], edges[None], space.template).to_archs(space)
        canonical = space.canonical(arch), space.canonical(other or arch)
        check(
            canonical[0] == canonical[1], "canonical(): the same after permuted() as before", [c.key for c in canonical]
        )


def _check_same(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], contract: str) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        other = f"{int((ours != theirs).sum())} other entries" if ours.shape == theirs.shape else ours.shape
        check(np.array_equal(ours, theirs), contract, other)


def _check_enumeration(space: Space) -> list[Arch]:
    with sound("enumerate(): works"):
        archs = list(space.enumerate())
    keys = [arch.key for arch in archs]
    check(len(keys) == space.size, f"enumerate(): yields size = {space.size} archs", len(keys))
    check(len(set(keys)) == len(keys), "enumerate(): yields distinct archs", f"{len(set(keys))} distinct")
    again = [arch.key for arch in space.enumerate()]
    check(again == keys, "enumerate(): yields the same order every time", "another order")
    graphs = space.arrays(archs)
    _check_same(space.enumerate_graphs(), graphs, "enumerate_graphs(): has the archs of enumerate()")
    _check_same(space.canonical_form(*graphs), graphs, "enumerate(): yields canonical_form")
    return archs
