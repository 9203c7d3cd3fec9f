"""Predictors by name: what a checkpoint says of its class, and one of a user's own, stored and loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from toys import StubPredictor, drawn

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.graph import GraphBatch
from gennas.predictors import PREDICTORS, load_predictor
from gennas.predictors.gnn import GNNPredictor
from gennas.spaces import get_space
from gennas.spaces.template import Template
from gennas.testing import check_predictor

SPACE = get_space("nasbench201")
FACTS = {"space": "nasbench201", "latency_input_shape": []}
METRICS = ("accuracy@cifar10", "latency_ms@cpu")


def registered(monkeypatch: pytest.MonkeyPatch) -> type[StubPredictor]:
    monkeypatch.setattr(PREDICTORS, "_entries", dict(PREDICTORS._entries))

    @PREDICTORS.register("sloped")
    class Sloped(StubPredictor):
        """A predictor whose only argument of its own is how much it doubts."""

        def __init__(self, template: Template, metrics: tuple[str, ...], std: float = 0.5) -> None:
            super().__init__(metrics, std)
            self.config = {"std": std}
            self.scores.values /= 40
            self.slope = torch.nn.Parameter(torch.ones(1))

    return Sloped


def test_a_predictor_of_ones_own_is_stored_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registered(monkeypatch)
    predictor = kind(SPACE.template, METRICS, std=0.25)
    check_predictor(predictor, SPACE)
    predictor.save(tmp_path, FACTS, {"seconds": 1.0}, "# Mine\n")
    stored = json.loads((tmp_path / "predictor" / "config.json").read_text())
    assert stored == {"format": 1, **FACTS, "class": "sloped", "metrics": list(METRICS), "predictor": {"std": 0.25}}
    loaded, config = load_predictor(tmp_path)
    assert type(loaded) is kind
    assert config == stored
    graph = GraphBatch.from_archs(drawn(SPACE, 5), SPACE.template)
    for ours, theirs in zip(loaded.predict(graph), predictor.predict(graph), strict=True):
        assert torch.equal(ours, theirs)


def test_a_class_without_a_name_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nameless(registered(monkeypatch)):  # type: ignore[misc]
        pass

    with pytest.raises(InvalidInputError, match=r'@PREDICTORS.register\("nameless"\)'):
        Nameless(SPACE.template, METRICS).save(tmp_path, FACTS, {}, "")
    assert not (tmp_path / "predictor").exists()


def test_a_checkpoint_without_a_class_has_the_networks_of_gennas(tmp_path: Path) -> None:
    predictor = GNNPredictor(SPACE.template, METRICS, width=8, layers=1, members=1)
    path = predictor.save(tmp_path, FACTS, {}, "") / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("class") == "gnn"
    path.write_text(json.dumps(config))
    assert isinstance(load_predictor(tmp_path)[0], GNNPredictor)


@pytest.mark.parametrize("name", ["os:path", "toys:StubPredictor", "forgotten", 3])
def test_only_a_registered_class_is_loaded(name: str, tmp_path: Path) -> None:
    path = GNNPredictor(SPACE.template, METRICS, width=8, layers=1).save(tmp_path, FACTS, {}, "") / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "class": name}))
    with pytest.raises(UnknownNameError, match=r'predictor.*PREDICTORS.get\("path/to/file.py:MyPredictor"\)'):
        load_predictor(tmp_path)


def test_weights_of_another_class_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = GNNPredictor(SPACE.template, METRICS, width=8, layers=1).save(tmp_path, FACTS, {}, "") / "config.json"
    registered(monkeypatch)
    path.write_text(json.dumps({**json.loads(path.read_text()), "class": "sloped"}))
    with pytest.raises(DataMissingError, match="do not fit together"):
        load_predictor(tmp_path)
