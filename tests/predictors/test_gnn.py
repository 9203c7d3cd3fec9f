"""The graph network: what its predictions depend on, and that a checkpoint restores it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toys import Twins, drawn, mixed, partly_masked, templates, toy

from gennas.errors import DataMissingError
from gennas.graph import GraphBatch, decisions_of
from gennas.part_files import write_part
from gennas.predictors import load_predictor
from gennas.predictors.gnn import GNNPredictor
from gennas.spaces import get_space
from gennas.spaces.template import FREE, Template
from gennas.testing import check_predictor

METRICS = ("accuracy@cifar10", "latency_ms@cpu")
seeds = st.integers(0, 2**31)


def predictor_of(template: Template, seed: int = 0, members: int = 2) -> GNNPredictor:
    torch.manual_seed(seed)
    predictor = GNNPredictor(template, METRICS, width=16, layers=2, members=members)
    predictor.scores.fit(np.random.default_rng(seed).gamma(2.0, 1.0, (200, 2)))
    return predictor.eval()


@settings(max_examples=15)
@given(templates(), st.integers(0, 2**31))
def test_it_keeps_the_contract_on_random_templates(template: Template, seed: int) -> None:
    check_predictor(predictor_of(template, seed), toy(template), seed)


def test_it_keeps_the_contract_on_nasbench201(tiny_checkpoint: Path) -> None:
    predictor, config = load_predictor(tiny_checkpoint)
    assert config["metrics"] == list(predictor.metrics)
    check_predictor(predictor, get_space("nasbench201"))


def test_with_free_edges_slots_are_interchangeable() -> None:
    allowed = np.ones((4, 3), dtype=bool)
    template = Template(tuple("abcd"), tuple("xyz"), allowed, np.triu(np.full((4, 4), FREE, np.int8), 1))
    space, predictor = toy(template), predictor_of(template)
    # The middle slots b and c are swapped; the isomorphism keeps edges forward.
    one = space.arch("xyzx", [(0, 1), (0, 2), (1, 3)])
    two = space.arch("xzyx", [(0, 2), (0, 1), (2, 3)])
    other = space.arch("xyzx", [(0, 1), (0, 2), (2, 3)])
    mean, std = predictor(GraphBatch.from_archs([one, two, other], template))
    assert torch.allclose(mean[0], mean[1], rtol=1e-5)
    assert torch.allclose(std[0], std[1], rtol=1e-5)
    assert not torch.allclose(mean[0], mean[2], rtol=1e-5)


def numbered_again(graph: GraphBatch) -> tuple[GraphBatch, Tensor]:
    """The graphs under another numbering, and where each of their decisions went ``(b, D)``."""
    template, b = graph.template, len(graph)
    n = len(template.slots)
    slots = np.tile(np.arange(n), (b, 1))
    slots[:, [1, 2]] = slots[:, [2, 1]]
    at = torch.from_numpy(slots)
    rows = torch.arange(b)[:, None]
    made = GraphBatch(template, graph.ops[rows, at], graph.edges[rows[:, :, None], at[:, :, None], at[:, None, :]])
    moved = {1: 2, 2: 1}
    layout = decisions_of(template)
    names: list[object] = [*layout.slots.tolist(), *map(tuple, layout.edges.tolist())]
    new = [
        moved.get(name, name) if isinstance(name, int) else tuple(moved.get(end, end) for end in name)  # type: ignore[attr-defined]
        for name in names
    ]
    return made, torch.tensor([names.index(name) for name in new]).expand(b, -1)


@given(seeds)
def test_interchangeable_slots_are_scored_alike_and_so_are_their_decisions(seed: int) -> None:
    space = Twins()
    graph, predictor = partly_masked(space, 6, seed), predictor_of(space.template, seed)
    other, went = numbered_again(graph)
    decisions = some_decisions(space.template, 6, 3, seed)
    mean, std = predictor.score_choices(graph, decisions)
    again, other_std = predictor.score_choices(other, went.gather(1, decisions))
    assert torch.allclose(mean, again, atol=1e-5)
    assert torch.allclose(std, other_std, atol=1e-5)


def test_isomorphic_nasbench101_cells_have_equal_scores() -> None:
    space = get_space("nasbench101")
    keys = [
        "1101/010/01/1 conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu",
        "110/01/1 conv3x3-bn-relu,maxpool3x3",
    ]
    archs = [space.parse(key) for key in keys]
    ops, edges = (np.repeat(part, 10, axis=0) for part in space.arrays(archs))
    first = GraphBatch.from_arrays(ops, edges, space.template)
    moved = GraphBatch.from_arrays(*space.permuted(ops, edges, np.random.default_rng(0)), space.template)
    assert not torch.equal(first.ops, moved.ops)
    predictor = predictor_of(space.template)
    for ours, theirs in zip(predictor.score(first), predictor.score(moved), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert (predictor.score(first)[0][0] - predictor.score(first)[0][-1]).abs().max() > 1e-4


def test_with_fixed_edges_slots_have_an_identity() -> None:
    space = get_space("nasbench201")
    predictor = predictor_of(space.template)
    keys = (
        "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|",
    )
    mean = predictor.score(GraphBatch.from_archs([space.parse(key) for key in keys], space.template))[0]
    assert not torch.allclose(mean[0], mean[1], atol=1e-4)


def test_every_decision_matters_and_so_does_its_mask() -> None:
    space = mixed()
    predictor = predictor_of(space.template)
    for name, parameter in predictor.named_parameters():
        if ".edges." in name:  # before training a masked edge carries what a present one does
            torch.nn.init.normal_(parameter)
    arch = space.arch("prs", [(0, 1), (1, 2)])
    graph = GraphBatch.from_archs([arch], space.template)
    mean = predictor.score(graph)[0]
    for decisions in range(space.template.decisions):
        where = torch.zeros(1, space.template.decisions, dtype=torch.bool)
        where[0, decisions] = True
        masked = predictor.score(graph.with_mask(where))[0]
        assert not torch.allclose(masked, mean, atol=1e-5), f"decision {decisions} can be masked unseen"
    changed = graph.decide(torch.tensor([[0]]), torch.tensor([[1]]))
    assert not torch.allclose(predictor.score(changed)[0], mean, atol=1e-5)
    without = graph.decide(torch.tensor([[2]]), torch.tensor([[0]]))
    assert not torch.allclose(predictor.score(without)[0], mean, atol=1e-5)


def test_the_ensemble_s_variance_is_that_of_the_mixture() -> None:
    space = mixed()
    predictor, graph = predictor_of(space.template, members=3), partly_masked(mixed(), 6)
    decisions = torch.tensor([[0, 3]] * 6)
    c = decisions_of(space.template).allowed.shape[1]
    choices = torch.arange(c).expand(6, 2, c).clone()
    choices[:, 1] = choices[:, 1].clamp_max(1)
    means, variances = predictor.member_scores(graph, decisions, choices)
    mean, std = predictor.score_choices(graph, decisions)
    assert means.shape == variances.shape == (3, 6, 1 + 2 * c, 2)
    assert mean.shape == std.shape == (6, 1 + 2 * c, 2)
    assert torch.allclose(mean, means.mean(0))
    assert torch.allclose(std.square(), variances.mean(0) + (means - mean).square().mean(0), rtol=1e-4)
    # Whole graphs (the first, and what one decision more makes whole) and partly masked ones have factors of their own.
    predictor.spread_scale.copy_(torch.tensor([2.0, 0.5]))
    predictor.masked_scale.copy_(torch.tensor([3.0, 5.0]))
    after = torch.tensor([0] + [1] * 2 * c)
    undecided = graph.masked_decisions().sum(1, keepdim=True) > after
    factor = torch.where(undecided[..., None], predictor.masked_scale, predictor.spread_scale)
    assert undecided.any()
    assert not undecided.all()
    assert torch.allclose(predictor.score_choices(graph, decisions)[1], std * factor)
    assert torch.allclose(predictor.score(graph)[1], (std * factor)[:, 0])


def some_decisions(template: Template, rows: int, count: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(rows, template.decisions, generator=rng).argsort(dim=1)[:, :count]


@settings(max_examples=25)
@given(templates(), seeds, st.integers(0, 4))
def test_scores_of_choices_have_their_shape_and_begin_with_the_graph(template: Template, seed: int, count: int) -> None:
    predictor, graph = predictor_of(template, seed), partly_masked(toy(template), 5, seed)
    decisions = some_decisions(template, 5, count, seed)
    mean, std = predictor.score_choices(graph, decisions)
    assert mean.shape == std.shape == (5, 1 + decisions.shape[1] * decisions_of(template).allowed.shape[1], 2)
    assert mean.isfinite().all()
    assert (std > 0).all()
    for ours, whole in zip((mean, std), predictor.score(graph), strict=True):
        assert torch.allclose(ours[:, 0], whole, atol=1e-6)
    # A decision is answered alike whatever is asked beside it, and whoever is in the batch.
    c = decisions_of(template).allowed.shape[1]
    for column in range(decisions.shape[1]):
        alone = predictor.score_choices(graph, decisions[:, column : column + 1])[0][:, 1:]
        assert torch.allclose(mean[:, 1 + column * c : 1 + (column + 1) * c], alone, atol=1e-5)
    row = torch.tensor([3])
    assert torch.allclose(predictor.score_choices(graph[row], decisions[row])[0], mean[row], atol=1e-5)


@settings(max_examples=25)
@given(templates(), seeds, st.integers(0, 4))
def test_gradients_are_finite(template: Template, seed: int, count: int) -> None:
    predictor, graph = predictor_of(template, seed).train(), partly_masked(toy(template), 5, seed)
    decisions = some_decisions(template, 5, count, seed)
    mean, std = predictor.score_choices(graph, decisions)
    (mean.square().sum() + std.log().sum()).backward()
    gradients = [parameter.grad for parameter in predictor.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    heads = [member.then.mlp[-1].weight.grad for member in predictor.members]  # type: ignore[union-attr,index]
    assert all(count == 0 or gradient.abs().max() > 0 for gradient in heads)


def test_every_decision_and_choice_changes_the_scores() -> None:
    template = mixed().template
    predictor, graph = predictor_of(template), GraphBatch.undecided_batch(template, 1)
    allowed = decisions_of(template).allowed
    mean = predictor.score_choices(graph, torch.arange(5)[None])[0][0, 1:, 0].view(allowed.shape)
    values = mean[allowed]
    assert len(values) == 11
    assert (values[:, None] - values)[~torch.eye(11, dtype=torch.bool)].abs().min() > 1e-6


def test_predict_is_forward_in_batches() -> None:
    space = mixed()
    predictor, graph = predictor_of(space.template), partly_masked(mixed(), 11)
    mean, std = predictor.predict(graph, batch_size=4)
    whole_mean, whole_std = predictor(graph)
    assert torch.allclose(mean, whole_mean, rtol=1e-4)
    assert torch.allclose(std, whole_std, rtol=1e-3, atol=1e-5)
    assert not mean.requires_grad


def test_targets() -> None:
    predictor = predictor_of(mixed().template)
    assert predictor.targets("accuracy") == ("cifar10",)
    assert predictor.targets("latency_ms") == ("cpu",)
    assert predictor.targets("latency") == ()


def test_a_checkpoint_restores_the_predictor(tmp_path: Path) -> None:
    space = get_space("nasbench201")
    predictor = predictor_of(space.template)
    predictor.scores.values.div_(20)  # accuracies
    predictor.spread_scale.fill_(1.5)
    predictor.decided_std.fill_(0.25)
    config = {"space": "nasbench201", "metrics": list(METRICS), "predictor": predictor.config}
    write_part(tmp_path, "predictor", config, predictor.state_dict(), {}, "# card\n")
    loaded, read = load_predictor(tmp_path)
    assert read["predictor"] == predictor.config
    assert loaded.metrics == METRICS
    assert not loaded.training
    graph = GraphBatch.from_archs(drawn(space, 20), space.template)
    for ours, theirs in zip(predictor.predict(graph), loaded.predict(graph), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(loaded.noise(), predictor.noise())


def test_no_checkpoint_no_predictor(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"has no predictor .* gennas pretrain predictor --out"):
        load_predictor(tmp_path)
