"""The graph network: what it sees, what it must not see, and that a checkpoint gives back the same one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import drawn, mixed, partly_masked, templates, toy

from gennas.checkpoint import write_part
from gennas.errors import DataMissingError
from gennas.graph import GraphBatch
from gennas.predictors.gnn import GNNPredictor, load_predictor
from gennas.spaces import get_space
from gennas.spaces.base import FREE, Template
from gennas.testing import check_predictor

METRICS = ("accuracy@cifar10", "latency_ms@cpu")


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


def test_where_edges_are_free_the_number_of_a_slot_is_only_a_label() -> None:
    allowed = np.ones((4, 3), dtype=bool)
    template = Template(tuple("abcd"), tuple("xyz"), allowed, np.triu(np.full((4, 4), FREE, np.int8), 1))
    space, predictor = toy(template), predictor_of(template)
    # The middle slots b and c change places; the isomorphism keeps edges forward.
    one = space.arch("xyzx", [(0, 1), (0, 2), (1, 3)])
    two = space.arch("xzyx", [(0, 2), (0, 1), (2, 3)])
    other = space.arch("xyzx", [(0, 1), (0, 2), (2, 3)])
    mean, std = predictor(GraphBatch.from_archs([one, two, other], template))
    assert torch.allclose(mean[0], mean[1], rtol=1e-5)
    assert torch.allclose(std[0], std[1], rtol=1e-5)
    assert not torch.allclose(mean[0], mean[2], rtol=1e-5)


def test_every_decision_matters_and_so_does_its_mask() -> None:
    space = mixed()
    predictor = predictor_of(space.template)
    for name, parameter in predictor.named_parameters():
        if ".edges." in name:  # before training a masked edge carries what a present one does
            torch.nn.init.normal_(parameter)
    arch = space.arch("prs", [(0, 1), (1, 2)])
    graph = GraphBatch.from_archs([arch], space.template)
    mean = predictor.score(graph)[0]
    for which in range(space.template.decisions):
        where = torch.zeros(1, space.template.decisions, dtype=torch.bool)
        where[0, which] = True
        masked = predictor.score(graph.with_mask(where))[0]
        assert not torch.allclose(masked, mean, atol=1e-5), f"decision {which} can be masked unseen"
    changed = graph.decide(torch.tensor([0]), torch.tensor([1]))
    assert not torch.allclose(predictor.score(changed)[0], mean, atol=1e-5)
    without = graph.decide(torch.tensor([2]), torch.tensor([0]))
    assert not torch.allclose(predictor.score(without)[0], mean, atol=1e-5)


def test_the_ensemble_adds_its_members_spread_to_their_own_variance() -> None:
    space = mixed()
    predictor, graph = predictor_of(space.template, members=3), partly_masked(mixed(), 6)
    means, variances = predictor.member_scores(graph)
    mean, std = predictor.score(graph)
    assert means.shape == variances.shape == (3, 6, 2)
    assert torch.allclose(mean, means.mean(0))
    assert torch.allclose(std.square(), variances.mean(0) + (means - mean).square().mean(0), rtol=1e-4)
    predictor.spread_scale.copy_(torch.tensor([2.0, 0.5]))
    assert torch.allclose(predictor.score(graph)[1], std * torch.tensor([2.0, 0.5]))


def test_predict_is_forward_in_pieces() -> None:
    space = mixed()
    predictor, graph = predictor_of(space.template), partly_masked(mixed(), 11)
    mean, std = predictor.predict(graph, batch_size=4)
    whole_mean, whole_std = predictor(graph)
    assert torch.allclose(mean, whole_mean, rtol=1e-4)
    assert torch.allclose(std, whole_std, rtol=1e-3, atol=1e-5)
    assert not mean.requires_grad


def test_places() -> None:
    predictor = predictor_of(mixed().template)
    assert predictor.places("accuracy") == ("cifar10",)
    assert predictor.places("latency_ms") == ("cpu",)
    assert predictor.places("latency") == ()


def test_a_checkpoint_gives_back_the_same_predictor(tmp_path: Path) -> None:
    space = get_space("nasbench201")
    predictor = predictor_of(space.template)
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
