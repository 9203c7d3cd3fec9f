"""What every search method keeps to, and that the baselines are no straw men."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import torch
from toys import Twins

from gennas.arch import Arch
from gennas.benchmarks.simulation import Run, simulate
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator
from gennas.errors import InvalidInputError, UnknownNameError
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.base import History, Policy
from gennas.search.mutation import neighbours, random_archs
from gennas.search.policies.area import Area
from gennas.search.policies.fitness import fitness, violation
from gennas.search.policies.local_search import LocalSearch
from gennas.search.policies.path_encoding import encoded, paths_of
from gennas.search.policies.random_search import RandomSearch
from gennas.search.policies.registry import POLICIES, defaults, make_policy, option_types, parse_options
from gennas.spaces import Space, get_space
from gennas.tables import load_table
from gennas.tasks import get_task

TASK = get_task("cifar10")
NB201 = get_space("nasbench201")
#: Made here; `gennas` has tests of its own, `generator` needs a checkpoint.
SEARCHED = [name for name in POLICIES.list() if name not in ("gennas", "generator")]
#: So that nothing takes long.
QUICK = {
    "bananas": {"steps": "10", "candidates": "20"},
    "gp": {"steps": "5", "candidates": "20", "first": "6"},
    "gp_hamming": {"steps": "5", "candidates": "20", "first": "6"},
    "tpe": {"first": "6", "tries": "5"},
    "smac": {"first": "6", "challengers": "20", "searches": "1", "tries": "2"},
}
ONE = Objective.parse("accuracy@cifar10")
TWO = Objective.parse("accuracy@cifar10, -latency_ms@cpu")
SLOW = Constraint.parse("latency_ms@cpu <= 0.8")


def values_of(archs: list[Arch], holes: bool = False) -> pd.DataFrame:
    """Made-up metrics; of every fifth arch nothing is known where holes are wanted."""
    rng = np.random.default_rng(0)
    keys = [arch.key for arch in archs]
    values = pd.DataFrame(rng.random((len(keys), 2)), keys, ["accuracy@cifar10", "latency_ms@cpu"])
    if holes:
        values.iloc[::5] = np.nan
    return values


def policy_of(method: str, problem: Problem) -> Policy:
    if method == "area":
        archs = random_archs(problem.space, 30, np.random.default_rng(3))
        return Area(problem, drawn=60, scores=pd.DataFrame({"naswot": range(30)}, [arch.key for arch in archs]))
    return make_policy(method, problem, QUICK.get(method))


@cache
def cells() -> list[Arch]:
    return list(NB201.enumerate())


@cache
def archs_of(name: str) -> list[Arch]:
    space = Twins() if name == "twins" else get_space(name)
    return list(space.enumerate()) if name == "twins" else random_archs(space, 40, np.random.default_rng(0))


def check(run: Run, problem: Problem) -> None:
    keys = run.keys
    assert len(set(keys)) == len(keys)
    space: Space = problem.space
    for arch in run.archs:
        assert not space.problems(arch)
        assert space.canonicalised([arch]) == [arch]
        costs = space.costs(arch, problem.task)
        assert all(bound.holds(costs[bound.metric.name]) for bound in problem.where if bound.metric.is_cost)


@pytest.mark.parametrize("objective", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("method", SEARCHED)
def test_to_the_last_arch_of_a_tiny_space(method: str, objective: Objective) -> None:
    space = Twins()
    problem = Problem(space, TASK, objective)
    values = values_of(archs_of("twins"), holes=True)
    run = simulate(problem, policy_of(method, problem), values, budget=50, batch=5, seed=1)
    check(run, problem)
    assert sorted(run.keys) == sorted(values.index)
    assert run.failed.sum() == 8


@pytest.mark.parametrize("method", SEARCHED)
def test_bounds_on_costs_hold_and_others_may_be_broken(method: str) -> None:
    space = Twins()
    costs = {arch.key: space.costs(arch, TASK)["params_m"] for arch in archs_of("twins")}
    middle = float(np.median(list(costs.values())))
    problem = Problem(space, TASK, ONE, (Constraint.parse(f"params_m <= {middle}"), SLOW))
    kept = [key for key, cost in costs.items() if cost <= middle]
    assert 12 < len(kept) < 30
    values = values_of(archs_of("twins"), holes=True)
    run = simulate(problem, policy_of(method, problem), values, budget=36, batch=4, seed=0)
    check(run, problem)
    assert sorted(run.keys) == sorted(kept)


@pytest.mark.parametrize("method", SEARCHED)
def test_same_arguments_same_proposals(method: str) -> None:
    """A policy that has been used before proposes what a fresh one does: it keeps no state."""
    problem = Problem(NB201, TASK, TWO)
    values = load_table().frame[["test_accuracy@cifar10"]].set_axis(["accuracy@cifar10"], axis=1)
    values["latency_ms@cpu"] = np.random.default_rng(0).random(len(values))
    used = policy_of(method, problem)
    other = simulate(problem, used, values, budget=18, batch=6, seed=5)
    first = simulate(problem, used, values, budget=18, batch=6, seed=4)
    fresh = simulate(problem, policy_of(method, problem), values, budget=18, batch=6, seed=4)
    assert first.keys == fresh.keys
    assert first.proposed_by == fresh.proposed_by
    assert first.keys != other.keys
    check(first, problem)


@pytest.mark.parametrize("method", SEARCHED)
def test_running_archs_are_not_proposed_again(method: str) -> None:
    problem = Problem(NB201, TASK, ONE)
    archs = tuple(random_archs(NB201, 30, np.random.default_rng(0)))
    values = np.random.default_rng(1).random((30, 1))
    pending = np.arange(30) % 3 == 0
    failed = np.arange(30) % 7 == 1
    values[pending | failed] = np.nan
    history = History(archs, values, pending, failed & ~pending, ("random",) * 30)
    proposals = policy_of(method, problem).propose(8, history, np.random.default_rng(0))
    keys = {proposal.arch.key for proposal in proposals}
    assert len(keys) == 8
    assert not keys & history.keys


@pytest.mark.parametrize("method", SEARCHED)
@pytest.mark.parametrize("name", ["nasbench101", "nasbench_graph"])
def test_other_spaces(method: str, name: str) -> None:
    space = get_space(name)
    task = get_task("cora" if name == "nasbench_graph" else "cifar10")
    problem = Problem(space, task, Objective.parse(f"accuracy@{task.name}"))
    rng = np.random.default_rng(0)

    archs = tuple(random_archs(space, 25, rng))
    history = History(archs, rng.random((25, 1)), np.zeros(25, dtype=bool), np.zeros(25, dtype=bool), ("random",) * 25)
    proposals = policy_of(method, problem).propose(4, history, rng)
    assert len({proposal.arch.key for proposal in proposals} - history.keys) == 4
    for proposal in proposals:
        assert space.canonicalised([proposal.arch]) == [proposal.arch]


@pytest.mark.parametrize("method", SEARCHED)
def test_nothing_but_failures(method: str) -> None:
    problem = Problem(Twins(), TASK, TWO)
    nothing = values_of(archs_of("twins")) * np.nan
    run = simulate(problem, policy_of(method, problem), nothing, budget=30, batch=5, seed=0)
    check(run, problem)
    assert len(run.keys) == 30


def test_baselines_beat_random_search_on_the_shipped_table() -> None:
    """By mean regret after 120 queries; at the same number of queries, over the same seeds."""
    values = load_table().frame[["test_accuracy@cifar10"]].set_axis(["accuracy@cifar10"], axis=1)
    problem = Problem(NB201, TASK, ONE)
    best = values["accuracy@cifar10"].max()
    regret = {}
    for method in ("random", "regularised_evolution", "local_search"):
        runs = [simulate(problem, make_policy(method, problem), values, budget=120, batch=5, seed=s) for s in range(6)]
        regret[method] = np.mean([best - run.values["accuracy@cifar10"].max() for run in runs])
    assert regret["regularised_evolution"] < 0.7 * regret["random"]
    assert regret["local_search"] < 0.7 * regret["random"]


# SMAC3 has no bounds, and in so few queries learns little of costs that stand for them.
@pytest.mark.parametrize("method", [name for name in SEARCHED if name not in ("random", "area", "smac")])
def test_bounds_on_what_is_measured_steer(method: str) -> None:
    """One arch in sixty keeps the bound, and that says nothing of the objective; a random arch has a latency of 4.8."""
    problem = Problem(NB201, TASK, ONE, (Constraint.parse("latency_ms@cpu <= 2"),))
    values = pd.DataFrame(
        {
            "accuracy@cifar10": np.random.default_rng(0).random(len(cells())),
            "latency_ms@cpu": [6.0 - arch.ops.count("nor_conv_3x3") for arch in cells()],
        },
        index=[arch.key for arch in cells()],
    )
    options = {"gp": {"steps": "20"}, "gp_hamming": {"steps": "20"}, "bananas": {"steps": "50"}}.get(method)
    run = simulate(problem, make_policy(method, problem, options), values, budget=60, batch=10, seed=0)
    latency = run.values["latency_ms@cpu"]
    assert latency.iloc[-20:].mean() < 3.7
    assert latency.min() <= 2


def test_local_search_climbs_to_the_top_of_a_hill() -> None:
    """The more 3x3 convolutions the better: the one top is reached by way of neighbours, and then left."""
    problem = Problem(NB201, TASK, ONE)
    convolutions = [arch.ops.count("nor_conv_3x3") / 6 for arch in cells()]
    values = pd.DataFrame({"accuracy@cifar10": convolutions}, index=[arch.key for arch in cells()])
    run = simulate(problem, LocalSearch(problem, starts=1), values, budget=120, batch=1, seed=0)
    assert run.values["accuracy@cifar10"].max() == 1
    assert run.proposed_by[0] == "random"
    # After the neighbourhood of the top there is another random start.
    top = int(run.values["accuracy@cifar10"].to_numpy().argmax())
    assert set(run.proposed_by[1:top]) == {"neighbour"}
    assert "random" in run.proposed_by[top:]


def test_area_begins_with_the_best_scores() -> None:
    problem = Problem(Twins(), TASK, ONE)
    ranks = np.random.default_rng(0).permutation(36).astype(float)
    scores = pd.DataFrame({"naswot": ranks}, index=[arch.key for arch in archs_of("twins")])
    # As many are drawn as there are: the population are the best of all.
    policy = Area(problem, population=10, drawn=36, scores=scores)
    first = policy.propose(10, History.nothing(problem), np.random.default_rng(0))
    assert [proposal.acquisition_value for proposal in first] == list(range(35, 25, -1))
    assert scores["naswot"].loc[[proposal.arch.key for proposal in first]].tolist() == list(range(35, 25, -1))
    # Batch by batch each is chosen from its share.
    some = policy.propose(5, History.nothing(problem), np.random.default_rng(0))
    assert 5 * 36 / 10 == 18
    assert min(proposal.acquisition_value or 0 for proposal in some) > 18


def test_area_scores_networks_where_no_scores_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def scores(space: Space, archs: list[Arch], task: object, names: list[str]) -> pd.DataFrame:
        asked.append((task, names, [arch.key for arch in archs]))
        return pd.DataFrame({"naswot": [float(len(arch.key)) for arch in archs]}, index=[arch.key for arch in archs])

    monkeypatch.setattr("gennas.proxies.scoring.proxy_scores", scores)
    problem = Problem(NB201, TASK, ONE)
    first = Area(problem, population=4, drawn=12).propose(4, History.nothing(problem), np.random.default_rng(0))
    assert asked[0][:2] == (TASK, ["naswot"])
    assert len(asked[0][2]) == 12
    assert {proposal.arch.key for proposal in first} <= set(asked[0][2])


def test_scores_of_another_form_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"key": ["a"], "synflow": [1.0]}).to_parquet(tmp_path / "scores.parquet")
    problem = Problem(NB201, TASK, ONE)
    policy = make_policy("area", problem, {"scores": str(tmp_path / "scores.parquet")})
    with pytest.raises(InvalidInputError, match="have the columns synflow; expected naswot"):
        policy.propose(2, History.nothing(problem), np.random.default_rng(0))


def test_generator_proposes_what_a_checkpoint_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def untrained(folder: Path) -> Generator:
        asked.append(folder.name)
        torch.manual_seed(0)
        return Generator(NB201, Denoiser(NB201.template, width=8, layers=1))

    monkeypatch.setattr("gennas.diffusion.generator.load_generator", untrained)
    problem = Problem(NB201, TASK, ONE, (Constraint.parse("params_m <= 0.5"),))
    policy = make_policy("generator", problem)
    values = load_table().frame[["test_accuracy@cifar10"]].set_axis(["accuracy@cifar10"], axis=1)
    run = simulate(problem, policy, values, budget=12, batch=4, seed=0)
    check(run, problem)
    assert asked == ["nasbench201"]
    assert set(run.proposed_by) == {"generated"}
    assert run.keys == simulate(problem, policy, values, budget=12, batch=4, seed=0).keys


@pytest.mark.parametrize("method", ["generator", "gennas"])
def test_a_generator_of_another_space_is_told(method: str) -> None:
    problem = Problem(NB201, TASK, ONE)
    with pytest.raises(InvalidInputError, match="trained on space 'nasbench101'; expected 'nasbench201'"):
        make_policy(method, problem, {"checkpoint": "nasbench101"}).generator  # type: ignore[attr-defined]  # noqa: B018


def test_fitness_orders_fronts_and_puts_broken_bounds_last() -> None:
    problem = Problem(NB201, TASK, TWO, (Constraint.parse("latency_ms@cpu <= 10"),))
    values = np.array(
        [[0.9, 5.0], [0.5, 1.0], [0.4, 6.0], [0.99, 20.0], [0.99, 11.0], [np.nan, 40.0], [np.nan, np.nan]]
    )
    archs = tuple(random_archs(NB201, 7, np.random.default_rng(0)))
    failed = np.array([False] * 6 + [True])
    acquisition_value = fitness(problem, History(archs, values, np.zeros(7, dtype=bool), failed, ("random",) * 7))
    assert (
        acquisition_value[0]
        == acquisition_value[1]
        > acquisition_value[2]
        > acquisition_value[4]
        > acquisition_value[3]
        > acquisition_value[5]
        > acquisition_value[6]
        == -np.inf
    )
    assert violation(problem, values).tolist() == pytest.approx([0, 0, 0, 1, 0.1, 3, 0])


def test_paths_are_the_sequences_of_operations() -> None:
    cell = NB201.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|")
    words = NB201.template.vocabulary
    (found,) = paths_of(NB201, [cell])
    assert {tuple(words[op] for op in path) for path in found} == {("avg_pool_3x3",), ("nor_conv_3x3", "nor_conv_1x1")}
    known = sorted(found)
    assert encoded([found, frozenset()], known).tolist() == [[1, 1], [0, 0]]
    assert encoded([found], known[:1]).tolist() == [[1]]


def test_options_are_read_by_their_types() -> None:
    problem = Problem(NB201, TASK, ONE)
    assert make_policy("regularised_evolution", problem, {"population": "7"}).population == 7  # type: ignore[attr-defined]
    assert make_policy("nsga2", problem, {"crossover": "0.5"}).crossover == 0.5  # type: ignore[attr-defined]
    assert make_policy("generator", problem, {"checkpoint": "none"}).checkpoint is None  # type: ignore[attr-defined]
    assert set(option_types(POLICIES.get("area"))) == {"population", "sample", "drawn", "scores"}
    assert defaults(POLICIES.get("local_search")) == {"starts": 10}
    assert parse_options(" a=1, b = x ,") == {"a": "1", "b": "x"}


@dataclass(frozen=True, eq=False)
class Choosy(RandomSearch):
    """Has options of every kind."""

    way: Literal["up", "down"] = "up"
    loud: bool = False
    frame: pd.DataFrame | None = None


def test_options_of_every_kind() -> None:
    problem, path = Problem(NB201, TASK, ONE), f"{__name__}:Choosy"
    made = make_policy(path, problem, {"way": "down", "loud": "true", "frame": "none"})
    assert (made.way, made.loud, made.frame) == ("down", True, None)  # type: ignore[attr-defined]
    for option, words in {"way": "one of up, down", "loud": "expected bool", "frame": "cannot be read"}.items():
        with pytest.raises(InvalidInputError, match=words):
            make_policy(path, problem, {option: "sideways"})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"populaton": "3"}, UnknownNameError, "Did you mean 'population'"),
        ({"population": "many"}, InvalidInputError, "population='many'.*expected int"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make_policy("regularised_evolution", Problem(NB201, TASK, ONE), options)


def test_unknown_methods_and_options_without_a_value() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'local_search'"):
        make_policy("local_serch", Problem(NB201, TASK, ONE))
    with pytest.raises(InvalidInputError, match="'population'; expected name=value"):
        parse_options("population")


def stopped_or_failed(problem: Problem, limit: float, fails: bool, count: int = 40) -> History:
    """Archs of which nothing, or with a bound on it the latency alone, is known where they have more multiply-adds than
    so many millions, which stand for milliseconds."""
    archs = tuple(random_archs(NB201, count, np.random.default_rng(4)))
    costs = np.array([NB201.costs(arch, TASK)["macs_m"] for arch in archs])
    values = np.random.default_rng(0).random((count, len(problem.metrics)))
    values[:, 1:] = costs[:, None]
    above = costs > limit
    values[above, 0] = np.nan
    failed = above & fails
    values[failed] = np.nan
    return History(archs, values, np.zeros(count, bool), failed, ("random",) * count)


@pytest.mark.parametrize("method", ["bananas", "gp", "gp_hamming"])
@pytest.mark.parametrize("limit", [0, 26])
def test_baselines_with_a_model_learn_what_fails(method: str, limit: float) -> None:
    problem = Problem(NB201, TASK, ONE)
    history = stopped_or_failed(problem, limit, fails=True)
    policy = make_policy(method, problem, QUICK[method] | {"candidates": "100"})
    archs = [proposal.arch for proposal in policy.propose(10, history, np.random.default_rng(0))]
    costs = np.array([NB201.costs(arch, TASK)["macs_m"] for arch in archs])
    assert len({arch.key for arch in archs} - history.keys) == 10
    # One in four random archs is as small; after 40 failures of all sizes, smaller ones are at least likelier.
    assert (costs <= 26).mean() >= (0.7 if limit else 0.4)


@pytest.mark.parametrize("method", ["bananas", "gp"])
def test_what_broke_a_bound_teaches_baselines_with_a_model(method: str) -> None:
    """Nothing else was evaluated of it."""
    problem = Problem(NB201, TASK, ONE, (Constraint.parse("latency_ms@cpu <= 15"),))
    history = stopped_or_failed(problem, 15, fails=False)
    silent = replace(history, values=np.where(np.isnan(history.values[:, :1]), np.nan, history.values))
    policy, kept = make_policy(method, problem, {"steps": "75", "candidates": "100", "first": "6"}), []
    for known in (history, silent):
        archs = [proposal.arch for proposal in policy.propose(15, known, np.random.default_rng(0))]
        kept.append(sum(NB201.costs(arch, TASK)["macs_m"] <= 15 for arch in archs))
    assert kept[0] >= 8
    assert kept[0] >= kept[1] + 3


@pytest.mark.parametrize("method", ["regularised_evolution", "local_search", "nsga2"])
def test_what_failed_has_no_children(method: str) -> None:
    problem = Problem(NB201, TASK, ONE)
    history = stopped_or_failed(problem, 26, fails=True, count=60)
    alive = [arch for arch, failed in zip(history.archs, history.failed, strict=True) if not failed]
    near = {other.key for arch in alive for other in neighbours(NB201, arch)}
    proposals = make_policy(method, problem).propose(10, history, np.random.default_rng(0))
    born = {p.arch.key for p in proposals if p.proposed_by != "random"}
    assert len(born) == 10
    # Nearly all are one step away; crossover and exhausted surroundings lead further.
    assert method == "nsga2" or len(born & near) >= 9
