"""Scores of archs: reproducible by seed, defined where they can be, aggregated as published."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from torch import nn

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.proxies import PROXIES, register_proxy
from gennas.proxies.costs import macs_m, params_m
from gennas.proxies.scoring import AZ_NAS, ProxyBatch, proxy_scores, rank_aggregate
from gennas.spaces import Space, get_space
from gennas.tasks import get_task

TASK = get_task("digits", image_size=16)
NB201 = get_space("nasbench201", "channels=4,cells=1")
NB101 = get_space("nasbench101", "channels=4,stacks=2,modules=1")
GRAPHS = get_space("nasbench_graph")
NOTHING = NB201.arch(("input", *["none"] * 6, "output"))
BEST = NB201.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|")


def test_scores_depend_on_the_seed_alone() -> None:
    rng = np.random.default_rng(0)
    archs = [NB201.sample(rng) for _ in range(2)]
    names = PROXIES.list()
    scores = proxy_scores(NB201, archs, TASK, names, batch_size=8)
    assert list(scores.columns) == names
    assert scores.index.tolist() == [arch.key for arch in archs]
    assert scores.index.name == "key"
    backwards = proxy_scores(NB201, archs[::-1], TASK, names[::-1], batch_size=8)
    pd.testing.assert_frame_equal(backwards.loc[scores.index, names], scores, check_exact=True)
    alone = proxy_scores(NB201, archs[:1], TASK, ["zen", "naswot"], batch_size=8)
    pd.testing.assert_frame_equal(alone, scores.loc[alone.index, ["zen", "naswot"]], check_exact=True)
    other = proxy_scores(NB201, [BEST], TASK, ["naswot"], seed=1, batch_size=8)
    assert other.iloc[0, 0] != proxy_scores(NB201, [BEST], TASK, ["naswot"], batch_size=8).iloc[0, 0]


@pytest.mark.parametrize("space", [NB201, NB101], ids=lambda space: space.name)
def test_costs_are_those_of_the_space(space: Space) -> None:
    arch = space.sample(np.random.default_rng(1))
    costs = space.costs(arch, TASK)
    scores = proxy_scores(space, [arch], TASK, ["params_m", "macs_m"])
    assert scores.iloc[0].to_dict() == pytest.approx(costs)
    network, batch = space.build(arch, TASK), ProxyBatch.from_task(TASK, 2)
    assert params_m(network, batch) == pytest.approx(costs["params_m"])
    if space is NB101:  # NAS-Bench-201 counts its poolings and ReLUs as well
        assert macs_m(network, batch) == pytest.approx(costs["macs_m"])
    else:
        assert macs_m(network, batch) < costs["macs_m"]


def test_costs_need_no_images() -> None:
    scores = proxy_scores(NB201, [BEST], get_task("cifar100"), ["macs_m"])
    assert scores.iloc[0, 0] == NB201.costs(BEST, get_task("cifar100"))["macs_m"]


def test_an_arch_that_ignores_its_images_is_the_worst() -> None:
    scores = proxy_scores(NB201, [NOTHING, BEST], TASK, PROXIES.list(), batch_size=8)
    nothing, best = scores.iloc[0], scores.iloc[1]
    undefined = {"naswot", "synflow", "jacov", "zen", "expressivity", "progressivity"}
    assert set(nothing.index[nothing.isna()]) == undefined
    assert nothing[["grad_norm", "snip", "knas", "grasp", "zico"]].tolist() == [0] * 5
    assert best.notna().all()
    low, high = rank_aggregate(scores)
    assert low < high


def test_a_proxy_of_ones_own_is_a_function_named_by_its_path() -> None:
    scores = proxy_scores(NB201, [BEST], TASK, [f"{__name__}:count_of_modules"], batch_size=2)
    assert scores.iloc[0, 0] == len(list(NB201.build(BEST, TASK).modules()))


def count_of_modules(network: nn.Module, batch: ProxyBatch) -> float:
    return float(len(list(network.modules())))


def test_aggregate_by_hand() -> None:
    frame = pd.DataFrame({"a": [1.0, 2, 2, 4], "b": [math.nan, 5, math.nan, 1]})
    ranks = np.array([[1, 2.5, 2.5, 4], [1.5, 4, 1.5, 3]])
    np.testing.assert_allclose(rank_aggregate(frame, ("a", "b")), np.log(ranks / 4).sum(axis=0))
    assert len(rank_aggregate(frame[:0], ("a",))) == 0
    assert AZ_NAS == ("expressivity", "progressivity", "trainability", "macs_m")


def test_errors_say_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENNAS_DATA", raising=False)
    with pytest.raises(UnknownNameError, match=r"unknown proxy 'naswoot'\. Did you mean 'naswot'\?"):
        proxy_scores(NB201, [BEST], TASK, ["naswoot"])
    with pytest.raises(DataMissingError, match=r"'cifar10' comes without images.*digits.*GENNAS_DATA"):
        proxy_scores(NB201, [BEST], get_task("cifar10"), ["naswot"])
    with pytest.raises(InvalidInputError, match="needs images, but task 'cora' is on a graph"):
        ProxyBatch.from_task(get_task("cora"), 8)
    graph = GRAPHS.sample(np.random.default_rng(0))
    with pytest.raises(InvalidInputError, match="networks of space 'nasbench_graph' do not; take a space of image"):
        proxy_scores(GRAPHS, [graph], get_task("cora"), ["naswot"])


def test_a_proxy_of_ones_own_sees_weights_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROXIES, "_entries", dict(PROXIES._entries))

    def sevens(network: nn.Module) -> None:
        for parameter in network.parameters():
            nn.init.constant_(parameter, 7.0)

    def largest(network: nn.Module, batch: ProxyBatch) -> float:
        return max(float(parameter.detach().max()) for parameter in network.parameters())

    register_proxy("largest-sevens", initialise=sevens)(largest)
    PROXIES.register("largest", lambda network, batch: largest(network, batch))
    names = ["Largest_Sevens", "largest", "Grad-Norm"]
    scores = proxy_scores(NB201, [BEST], TASK, names, batch_size=8)
    assert list(scores.columns) == ["largest-sevens", "largest", "grad_norm"]
    assert scores.iloc[0, 0] == 7
    assert scores.iloc[0, 1] < 7
    alone = proxy_scores(NB201, [BEST], TASK, ["grad_norm"], batch_size=8)
    assert scores.iloc[0, 2] == alone.iloc[0, 0]


def test_names_of_costs_ignore_hyphens_too() -> None:
    scores = proxy_scores(NB201, [BEST], get_task("cifar100"), ["MACs-m"])
    assert scores["macs_m"].item() == NB201.costs(BEST, get_task("cifar100"))["macs_m"]


def test_the_names_of_proxies_import_no_torch() -> None:
    code = "import sys; from gennas.proxies import PROXIES; PROXIES.list(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
