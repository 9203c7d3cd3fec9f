"""Numbers in networks: a linear map of them, and no trace where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import drawn, toy

from gennas.diffusion.denoiser import Denoiser
from gennas.graph import GraphBatch
from gennas.predictors.gnn import GNNPredictor
from gennas.predictors.value_embedding import ValueEmbedding
from gennas.spaces import Template
from gennas.spaces.template import FIXED, FREE

ALLOWED = np.array([[1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 1]], dtype=bool)
NUMBERS = np.where(ALLOWED, [[2.0, 4.0, 32.0, np.nan]] * 3, np.nan)
EDGES = np.array([[0, FIXED, FREE], [0, 0, FIXED], [0, 0, 0]], np.int8)


def template(values: np.ndarray | None) -> Template:
    return Template(("a", "b", "c"), ("w2", "w4", "w32", "pool"), ALLOWED, EDGES, values)


def test_numbers_are_mapped_linearly_and_others_are_nothing() -> None:
    embedding = ValueEmbedding(template(NUMBERS), 5)
    (direction,) = embedding.map.weight.T
    found = embedding(torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 1, 2, 3, -1, 0]))
    # 4 is a quarter of the way from 2 to 32, from -1 to 1; c has one number only.
    expected = torch.tensor([-1.0, -0.5, 1.0, 0.0, 0.0, -1.0])[:, None] * direction
    torch.testing.assert_close(found, expected)


def networks(of: Template) -> list[torch.nn.Module]:
    made: list[torch.nn.Module] = []
    for make in (lambda: Denoiser(of, width=8, heads=2), lambda: GNNPredictor(of, ("accuracy@x",), width=8)):
        torch.manual_seed(0)
        made.append(make())
    return made


def test_a_template_without_values_has_the_parameters_that_it_always_had() -> None:
    for plain, valued in zip(networks(template(None)), networks(template(NUMBERS)), strict=True):
        before, after = plain.state_dict(), valued.state_dict()
        assert not [name for name in before if "value.map" in name]
        assert [name for name in after if name not in before]
        assert all("value.map" in name for name in after if name not in before)


@pytest.mark.parametrize("number", [0, 1], ids=["denoiser", "predictor"])
def test_networks_see_the_numbers(number: int) -> None:
    """The same network says something else of w4 in slot a if that is another number, and only of that."""
    space = toy(template(NUMBERS))
    graph = GraphBatch.from_archs(drawn(space, 20), space.template)
    masked = torch.zeros(len(graph), space.template.decisions, dtype=torch.bool)
    masked[:, 1] = True
    network = networks(space.template)[number].eval()
    other = networks(template(np.where(NUMBERS == 4, 30.0, NUMBERS)))[number].eval()
    other.load_state_dict(network.state_dict())
    with torch.inference_mode():
        one, two = (_outputs(model, graph.with_mask(masked)) for model in (network, other))
    has_4 = graph.ops[:, 0] == 1
    assert 0 < has_4.sum() < len(graph)
    assert torch.equal((one != two).flatten(1).any(1), has_4)


def test_choices_are_seen_by_their_numbers() -> None:
    space = toy(template(NUMBERS))
    graph = GraphBatch.undecided_batch(space.template, 1)
    predictor, other = (
        networks(template(values))[1].eval() for values in (NUMBERS, np.where(NUMBERS == 4, 30.0, NUMBERS))
    )
    other.load_state_dict(predictor.state_dict())
    slots_and_edge = torch.tensor([[0, 3]])
    with torch.inference_mode():
        one, two = (model.score_choices(graph, slots_and_edge)[0][0, :, 0] for model in (predictor, other))
    # The graph as it is, four operations of a, and an edge's two states, which have no numbers.
    assert (one != two)[:7].tolist() == [False, False, True, False, False, False, False]


def _outputs(model: torch.nn.Module, graph: GraphBatch) -> torch.Tensor:
    return model(graph) if isinstance(model, Denoiser) else model.score(graph)[0]
