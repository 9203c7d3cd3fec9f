"""``gennas predict --proxy``."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from toys import StubPredictor

from gennas.cli.main import main
from gennas.cli.proxies import asked_scores, parse_proxies
from gennas.errors import InvalidInputError, UnknownNameError
from gennas.proxies.scoring import AZ_NAS, proxy_scores, rank_aggregate
from gennas.spaces import get_space
from gennas.tasks import get_task

KEYS = (
    "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)
SKELETON = "channels=4,cells=1"


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    config = {"space": "nasbench201", "skeleton": {"channels": 16, "cells": 5}, "latency_input_shape": []}
    config |= {"metrics": ["accuracy@cifar10", "latency_ms@cpu"]}
    predictor = StubPredictor(("accuracy@cifar10", "latency_ms@cpu"))
    monkeypatch.setattr("gennas.predictors.load_predictor", lambda folder: (predictor, config))

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["predict", "--skeleton", SKELETON, "--format", "json", *(str(word) for word in words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_values_under_their_names(predict: Any) -> None:
    words = ["--task", "digits", "--image-size", 16, "--seed", 3, "--proxy", "naswot, grad_norm,macs_m", *KEYS]
    code, out, err = predict(*words)
    assert code == 0, err
    document = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    space, task = get_space("nasbench201", SKELETON), get_task("digits", image_size=16)
    scores = proxy_scores(space, [space.parse(key) for key in KEYS], task, ["naswot", "grad_norm"], seed=3)
    for entry in document["archs"][:2]:
        for name in ("naswot", "grad_norm"):
            assert entry["predicted"][name] == pytest.approx(scores.loc[entry["key"], name])
    last = document["archs"][2]["predicted"]
    assert "naswot" not in last
    assert last["grad_norm"] == 0
    assert any("naswot of 1 of 3 archs" in note for note in document["notes"])


def test_the_aggregate_ranks_the_archs_given(predict: Any) -> None:
    code, out, err = predict("--task", "digits", "--image-size", 16, "--proxy", "az_nas", *KEYS)
    assert code == 0, err
    space, task = get_space("nasbench201", SKELETON), get_task("digits", image_size=16)
    scores = proxy_scores(space, [space.parse(key) for key in KEYS], task, AZ_NAS)
    found = [entry["predicted"]["az_nas"] for entry in json.loads(out)["archs"]]
    assert found == pytest.approx(rank_aggregate(scores).tolist())
    assert all(math.isfinite(value) for value in found)
    assert "expressivity" not in json.loads(out)["archs"][0]["predicted"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--task", "digits", "--proxy", "synflo"], ["unknown proxy 'synflo'. Did you mean 'synflow'?", "az_nas"]),
        (["--task", "digits", "--proxy", " , "], ["names no proxy", "naswot"]),
        (["--task", "digits", "--proxy", "os:nothing"], ["proxy 'os:nothing' cannot be imported"]),
        (["--task", "cifar100", "--proxy", "naswot"], ["--proxy: task 'cifar100' comes without images", "digits"]),
        (["--task", "cifar10", "--proxy", "naswot"], ["'cifar10' comes without images", "GENNAS_DATA"]),
        (["--proxy", "naswot"], ["no task was named", "--task", "digits", "a folder per class"]),
    ],
)
def test_refusals_say_what_to_give(
    predict: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], told: list[str]
) -> None:
    monkeypatch.delenv("GENNAS_DATA", raising=False)
    code, out, err = predict(*words, KEYS[0])
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    for word in told:
        assert word in err


def test_a_space_of_graph_networks_is_refused() -> None:
    space = get_space("nasbench_graph")
    arch = space.sample(np.random.default_rng(0))
    for task in (None, get_task("cora")):
        with pytest.raises(InvalidInputError, match="'nasbench_graph' do not; take a space of image classifiers"):
            asked_scores(space, [arch], task, ("naswot",), seed=0)


def test_names_are_read_once_each() -> None:
    assert parse_proxies(" zen,naswot , zen,a.b:c") == ("zen", "naswot", "a.b:c")
    with pytest.raises(UnknownNameError, match=r"Known: az_nas, .*Your own: `proxy` path/to/file.py:my_proxy"):
        parse_proxies("x")
