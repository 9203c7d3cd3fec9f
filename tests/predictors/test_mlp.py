"""The network over decisions: what it predicts after a choice is what it predicts of the graph with that choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import mixed, partly_masked, templates, toy

from gennas.graph import decisions_of
from gennas.predictors import load_predictor
from gennas.predictors.mlp import MLPPredictor
from gennas.spaces import get_space
from gennas.spaces.template import Template
from gennas.testing import check_predictor

METRICS = ("accuracy@cifar10", "latency_ms@cpu")


def predictor_of(template: Template, seed: int = 0, members: int = 2) -> MLPPredictor:
    torch.manual_seed(seed)
    predictor = MLPPredictor(template, METRICS, width=16, layers=2, members=members)
    predictor.scores.fit(np.random.default_rng(seed).random((200, 2)))
    return predictor.eval()


@settings(max_examples=10)
@given(templates(), st.integers(0, 2**31))
def test_it_keeps_the_contract_on_random_templates(template: Template, seed: int) -> None:
    check_predictor(predictor_of(template, seed), toy(template), seed)


def test_a_choice_is_predicted_as_the_graph_in_which_it_was_made() -> None:
    space = mixed()
    predictor, graph = predictor_of(space.template), partly_masked(space, 20)[torch.arange(1, 20)]
    graph = graph[graph.masked_decisions().any(1).nonzero()[:, 0]]
    decisions = graph.masked_decisions().int().argmax(1, keepdim=True)
    mean, std = predictor.score_choices(graph, decisions)
    allowed = decisions_of(space.template).allowed
    for choice in range(allowed.shape[1]):
        made = graph.decide(decisions, torch.full_like(decisions, choice))
        exists = allowed[decisions[:, 0], choice]
        own_mean, own_std = predictor.score(made)
        assert torch.allclose(mean[exists, 1 + choice], own_mean[exists], atol=1e-5)
        assert torch.allclose(std[exists, 1 + choice], own_std[exists], atol=1e-5)


def test_a_checkpoint_restores_it(tmp_path: Path) -> None:
    space = get_space("nasbench201")
    predictor = predictor_of(space.template)
    predictor.save(tmp_path, {"space": space.name}, {}, "card")
    again, config = load_predictor(tmp_path)
    assert (type(again), config["class"]) == (MLPPredictor, "mlp")
    graph = partly_masked(space, 8)
    assert torch.equal(again.score(graph)[0], predictor.score(graph)[0])
