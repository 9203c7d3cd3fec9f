"""What a class of your own must pass to work with the rest of gennas; call these from your tests.

.. code-block:: python

    from gennas.testing import check_evaluator, check_predictor, check_space

    def test_my_space():
        check_space(MySpace())

    def test_my_predictor():
        check_predictor(MyPredictor(), MySpace())

    def test_my_evaluator():
        check_evaluator(MyEvaluator(), MySpace(), get_task("digits"))
"""

import math
import pickle
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch, PartialArch
from gennas.errors import GennasError, InvalidArchError
from gennas.evaluators.base import Evaluator
from gennas.graph import GraphBatch, decisions_of
from gennas.metrics import Metric
from gennas.predictors.base import Predictor
from gennas.spaces.base import Space
from gennas.spaces.template import FIXED, FORBIDDEN, FREE
from gennas.tasks import Task, get_task

#: Spaces up to this size are enumerated whole.
_SMALL = 100_000
_SAMPLES = 20
_NETWORKS = 3
#: Where a row of a study may come from.
_SOURCES = ("table", "trained", "measured", "computed", "predicted")


def check_space(space: Space, task: Task | None = None, seed: int = 0) -> None:
    """Tests that the parts of a space fit together.

    The template is well formed; samples are valid; keys and canonical forms lead back to the same archs;
    broken archs are found, one by one and many at once; numberings lead back to the same canonical_form; an
    enumeration is complete; costs agree with the networks that are built.

    Args:
        space: the space, with a skeleton small enough to build a few networks.
        task: what to build them for; CIFAR-10's shape by default.
        seed: chooses the archs that are looked at.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    task = task or get_task("cifar10")
    rng = np.random.default_rng(seed)
    _check_template(space)
    archs = [space.sample(rng) for _ in range(_SAMPLES)]
    for arch in archs:
        _check_arch(space, arch)
        _check_notation(space, arch)
        _check_broken(space, arch)
    _check_rules(space, archs, torch.Generator().manual_seed(seed))
    _check_numbering(space, archs, rng)
    if space.size is not None and space.size <= _SMALL:
        _check_enumeration(space)
    _check_costs(space, task)
    for arch in archs[:_NETWORKS]:
        _check_network(space, arch, task)


def check_predictor(predictor: Predictor, space: Space, seed: int = 0) -> None:
    """Tests that a predictor is one that guides and the command line can use.

    Its metrics have names that are known; decided, partly masked and wholly masked graphs get finite means and
    positive stds of the right shape, and so do the choices of their next decisions; a graph's prediction depends
    neither on its neighbours in the batch nor on chance.

    Args:
        predictor: the predictor; it is left in evaluation mode.
        space: the space whose graphs it reads.
        seed: chooses the graphs that are looked at.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    _check_predicted_metrics(predictor)
    predictor.eval()
    rng, torch_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    archs = [space.sample(rng) for _ in range(_SAMPLES)]
    decided = GraphBatch.from_archs(archs, space.template)
    where = torch.rand(_SAMPLES, space.template.decisions, generator=torch_rng) < 0.5
    # None of them is whole, where there is more than one decision.
    where[:, 0], where[:, 1:2] = False, True
    graphs = {"decided": decided, "partly masked": decided.with_mask(where)}
    graphs["wholly masked"] = decided.with_mask(torch.ones_like(where))
    with torch.inference_mode():
        for kind, graph in graphs.items():
            _check_predictions(predictor, graph, kind)
            _check_choices(predictor, graph, kind, torch_rng)
        noise, shape = predictor.noise(), (len(predictor.metrics),)
        _check(tuple(noise.shape) == shape, f"noise(): has shape (metrics,) = {shape}", tuple(noise.shape))
        sound = bool(noise.isfinite().all() and (noise >= 0).all())
        _check(sound, "noise(): is finite and not negative", noise.tolist())


def check_evaluator(evaluator: Evaluator, space: Space, task: Task, seed: int = 0) -> None:
    """Tests that what an evaluator returns can be kept in a study.

    Args:
        evaluator: the evaluator; it evaluates two archs, and one of them twice.
        space: the space of its archs.
        task: what the networks are for.
        seed: chooses the archs, and is handed to the evaluations.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    _check(evaluator.source in _SOURCES, f"source is one of {', '.join(_SOURCES)}", evaluator.source)
    rng = np.random.default_rng(seed)
    first, second = space.sample(rng), space.sample(rng)
    promised = evaluator.metrics(task)
    _check(isinstance(promised, tuple) and bool(promised), "metrics(): is a tuple with at least one name", promised)
    values = evaluator.evaluate(first, task=task, seed=seed)
    _check(bool(values), "evaluate(): returns at least one metric", values)
    for name, value in values.items():
        # What is only reported is a metric too, though nothing may be chosen by it.
        metric = _parsed(name.removeprefix("test_"), "evaluate(): keys are metric names with their place")
        placed = metric.kind.scope == "arch" or metric.target is not None
        _check(placed, "evaluate(): keys are metric names with their place", name)
        if metric.kind.scope == "task":
            _check(metric.target == task.name, f"evaluate(): {metric.kind.name} is that of the task", name)
        number = isinstance(value, float) and math.isfinite(value)
        _check(number, f"evaluate(): {name} is a finite float", value)
    _check(set(promised) <= set(values), f"evaluate(): gives what metrics() promises, {promised}", sorted(values))
    again = evaluator.evaluate(first, task=task, seed=seed)
    _check(set(again) == set(values), "evaluate(): the same arch and seed have the same metrics", sorted(again))
    other = evaluator.evaluate(second, task=task, seed=seed)
    _check(set(other) == set(values), "evaluate(): every arch has the same metrics", sorted(other))
    conditions = evaluator.conditions(seed, 1)
    _check(conditions == evaluator.conditions(seed, 1), "conditions(): are the same for the same seed", conditions)
    _check(not (evaluator.is_instant and evaluator.is_exclusive), "what is instant needs no machine of its own", "both")
    if not evaluator.is_instant:
        copied = _copied(evaluator)
        same = copied.metrics(task) == promised and copied.conditions(seed, 1) == conditions
        _check(same, "a pickled copy has the same metrics and conditions", copied.metrics(task))


def _copied(evaluator: Evaluator) -> Evaluator:
    """What a worker gets."""
    try:
        return pickle.loads(pickle.dumps(evaluator))
    except Exception as error:
        # What cannot be pickled raises whatever its class raises.
        raise AssertionError(f"an evaluator that is not instant can be pickled; found {error!r}") from error


def _check(holds: bool, contract: str, found: object) -> None:
    if not holds:
        raise AssertionError(f"{contract}; found {found!r}")


def _check_template(space: Space) -> None:
    template = space.template
    for words in (template.slots, template.vocabulary):
        _check(len(set(words)) == len(words), "template: slot and operation names are distinct", words)
    _check(template.allowed.dtype == bool, "template.allowed is boolean", template.allowed.dtype)
    marks = set(np.unique(template.edges).tolist())
    _check(marks <= {FORBIDDEN, FIXED, FREE}, "template.edges holds only FORBIDDEN, FIXED and FREE", marks)
    _check(template.decisions > 0, "template: there is something to decide", template.decisions)
    known = space.absent is None or space.absent in template.vocabulary
    _check(known, "absent is None or an operation of the vocabulary", space.absent)


def _check_arch(space: Space, arch: Arch) -> None:
    _check(arch.space == space.name, "an arch bears the name of its space", arch.space)
    _check(not space.problems(arch), "sample(): draws valid archs", space.problems(arch))
    _check(space.parse(arch.key) == arch, "parse(arch.key) == arch", space.parse(arch.key))
    made = space.arch(arch.ops, arch.edges)
    _check(made == arch, "arch(arch.ops, arch.edges) == arch", made)
    canonical = space.canonical(arch)
    _check(not space.problems(canonical), "canonical(arch) is valid", space.problems(canonical))
    again = space.canonical(canonical)
    _check(again == canonical, "canonical(canonical(arch)) == canonical(arch)", (again.key, canonical.key))
    _check(space.parse(canonical.key) == canonical, "parse(canonical.key) == canonical", canonical.key)


def _check_notation(space: Space, arch: Arch) -> None:
    _check("=" not in arch.key, "key(): has no '=', by which partial() knows that it reads choices", arch.key)
    partial, whole = space.partial(arch.key), PartialArch(space.name, arch.ops, arch.edges)
    _check(partial == whole, "partial(arch.key): leaves nothing open, and has the arch's choices", partial)
    for op in dict.fromkeys(arch.ops):
        text = arch.key.replace(op, "?", 1)
        if isinstance(_tried(space.parse, text), Arch):
            sound = getattr(_tried(space.read, text), "is_whole", False)
            _check(sound, "parse(): refuses what read() does not find whole", text)


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
        _check(bool(found), f"problems(): names {defect}", found)
        _check(all(isinstance(text, str) and text for text in found), "problems(): says it in words", found)
    refusal = _tried(space.parse, "no arch at all")
    _check(isinstance(refusal, InvalidArchError), "parse(): raises InvalidArchError for a malformed string", refusal)
    _check("no arch at all" in str(refusal), "parse(): shows the string it cannot read", refusal)


def _check_rules(space: Space, archs: list[Arch], torch_rng: torch.Generator) -> None:
    graph = GraphBatch.from_archs(archs * 10, space.template)
    # Few or many choices are drawn anew, or none: what breaks a rule only just is the easiest to miss.
    level = (torch.rand(len(graph), 1, generator=torch_rng) - 0.1).clamp_min(0)
    drawn = torch.multinomial(decisions_of(space.template).allowed.float(), len(graph), True, generator=torch_rng).T
    anew = torch.rand(drawn.shape, generator=torch_rng) < level
    wild = graph.decide(torch.arange(drawn.shape[1]).expand_as(drawn), torch.where(anew, drawn, graph.choices()))
    graphs = wild.ops.numpy(), wild.edges.numpy() == 1
    keeps = space.keeps_rules(*graphs)
    _check(keeps.dtype == bool, "keeps_rules(): is boolean", keeps.dtype)
    # The method of Space asks rule_problems() about one graph after the other.
    _check_same((keeps,), (Space.keeps_rules(space, *graphs),), "keeps_rules(): agrees with rule_problems()")


def _check_numbering(space: Space, archs: list[Arch], rng: np.random.Generator) -> None:
    graphs = space.arrays(archs)
    moved, first = space.permuted(*graphs, rng), space.canonical_form(*graphs)
    for name, (ops, edges) in {"permuted()": moved, "canonical_form()": first}.items():
        found = GraphBatch.from_arrays(ops, edges, space.template).to_archs(space)
        broken = sum(arch is None or bool(space.problems(arch)) for arch in found)
        _check(not broken, f"{name}: a valid arch stays valid", f"{broken} that do not")
    _check_same(space.canonical_form(*moved), first, "canonical_form(): the same after permuted() as before")
    _check_same(space.canonical_form(*first), first, "canonical_form(): a representative is its own")


def _check_same(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], contract: str) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        other = f"{int((ours != theirs).sum())} other entries" if ours.shape == theirs.shape else ours.shape
        _check(np.array_equal(ours, theirs), contract, other)


def _check_enumeration(space: Space) -> None:
    archs = list(space.enumerate())
    keys = [arch.key for arch in archs]
    _check(len(keys) == space.size, f"enumerate(): yields size = {space.size} archs", len(keys))
    _check(len(set(keys)) == len(keys), "enumerate(): yields distinct archs", f"{len(set(keys))} distinct")
    again = [arch.key for arch in space.enumerate()]
    _check(again == keys, "enumerate(): yields the same order every time", "another order")
    graphs = space.arrays(archs)
    _check_same(space.enumerate_graphs(), graphs, "enumerate_graphs(): has the archs of enumerate()")
    _check_same(space.canonical_form(*graphs), graphs, "enumerate(): yields canonical_form")


def _check_costs(space: Space, task: Task) -> None:
    shape = (len(space.template.slots), len(space.template.vocabulary))
    costs = space.slot_costs(task)
    if costs is None:
        own = space.costs(space.sample(np.random.default_rng(0)), task)
        _check({"params_m", "macs_m"} <= set(own), "costs(): has params_m and macs_m", sorted(own))
        return
    _check({"params_m", "macs_m"} <= set(costs), "slot_costs(): has params_m and macs_m", sorted(costs))
    for name, (base, table) in costs.items():
        _check(table.shape == shape, f"slot_costs(): {name} has shape (slots, vocabulary) = {shape}", table.shape)
        least = float(min(base, table[space.template.allowed].min()))
        _check(np.isfinite(least) and least >= 0, f"slot_costs(): {name} is finite and not negative", least)


def _check_network(space: Space, arch: Arch, task: Task) -> None:
    network = space.build(arch, task).eval()
    params = sum(parameter.numel() for parameter in network.parameters())
    claimed = round(space.costs(arch, task)["params_m"] * 1e6)
    _check(params == claimed, f"costs(): {arch.key!r} has the {params} parameters of its network", claimed)
    with torch.no_grad():
        logits = network(*space.example_input(task))
    expected = (2, task.num_classes)
    _check(tuple(logits.shape) == expected, f"build(): logits have shape {expected}", tuple(logits.shape))


def _parsed(name: str, contract: str) -> Metric:
    try:
        return Metric.parse(name)
    except GennasError as error:
        raise AssertionError(f"{contract}; found {name!r}: {error}") from error


def _check_predicted_metrics(predictor: Predictor) -> None:
    names = predictor.metrics
    _check(isinstance(names, tuple) and bool(names), "metrics is a tuple with at least one name", names)
    _check(len(set(names)) == len(names), "metrics: names are distinct", names)
    for name in names:
        metric = _parsed(name, "metrics: names are known, with their place")
        _check(not metric.is_cost, "metrics: costs are computed, never predicted", name)
        _check(metric.target is not None, "metrics: names are known, with their place", name)


def _check_predictions(predictor: Predictor, graph: GraphBatch, kind: str) -> None:
    shape, every = (len(graph), len(predictor.metrics)), torch.ones(len(graph), dtype=torch.bool)
    for method in (predictor.score, predictor.forward):
        name, scores = f"{method.__name__}() of {kind} graphs", method(graph)
        # A normal score is never certain; in units a flat piece of the scale may be.
        _check_scores(name, "(b, m)", shape, scores, every, certain=method == predictor.forward)
        moved = _apart(method(graph), scores)
        _check(moved == 0, f"{name}: the same graphs have the same prediction", moved)


def _check_choices(predictor: Predictor, graph: GraphBatch, kind: str, torch_rng: torch.Generator) -> None:
    name, masked = f"score_choices() of {kind} graphs", graph.masked_decisions()
    allowed = decisions_of(graph.template).allowed
    q, c = min(int(masked.sum(1).min()), 3), allowed.shape[1]
    decisions = torch.rand(masked.shape, generator=torch_rng).masked_fill(~masked, -1).topk(q).indices
    exists = torch.cat([torch.ones(len(graph), 1, dtype=torch.bool), allowed[decisions].flatten(1)], dim=1)
    scores = predictor.score_choices(graph, decisions)
    _check_scores(name, "(b, 1 + q * c, m)", (len(graph), 1 + q * c, len(predictor.metrics)), scores, exists)
    first = _apart(predictor.score(graph), [part[:, 0] for part in scores])
    _check(first < 1e-3, f"{name}: begins with what score() says", first)
    for row, count in ((0, q), (len(graph) - 1, min(q, 1))):
        one, ok = torch.tensor([row]), exists[row, : 1 + count * c]
        is_exclusive = predictor.score_choices(graph[one], decisions[one, :count])
        moved = _apart([part[0, ok] for part in is_exclusive], [part[row, : len(ok)][ok] for part in scores])
        _check(moved < 1e-3, f"{name}: does not depend on the neighbours in the batch, or on what else is asked", moved)


def _check_scores(
    name: str, axes: str, shape: tuple[int, ...], scores: Sequence[Tensor], exists: Tensor, certain: bool = False
) -> None:
    for word, part in zip(("mean", "std"), scores, strict=True):
        _check(tuple(part.shape) == shape, f"{name}: {word} has shape {axes} = {shape}", tuple(part.shape))
        _check(bool(part[exists].isfinite().all()), f"{name}: {word} is finite", part[exists].tolist())
    least = float(scores[1][exists].min())
    _check(least > 0 or (certain and least == 0), f"{name}: std is positive", least)


def _apart(scores: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(scores, others, strict=True))
