"""A search starts from what the user has evaluated: it teaches, is not proposed, and costs no budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_toys import SPACE, accuracy_of

from gennas.arch import Arch
from gennas.collecting.store import note_tasks, settings_of
from gennas.errors import InvalidArchError, InvalidInputError, StudyError, UnknownNameError
from gennas.evaluators.base import Evaluator
from gennas.problem import Problem
from gennas.search.base import EVALUATED, History, Policy, Proposal
from gennas.search.mutation import fresh_mutant, random_archs
from gennas.search.policies.registry import POLICIES, make_policy
from gennas.search.policies.regularised_evolution import RegularisedEvolution
from gennas.search.run import search_archs
from gennas.search.search import Search
from gennas.spaces import Space, get_space
from gennas.spaces.costs import all_costs
from gennas.spaces.functions import function_key
from gennas.studies.observations import Observations, read_evaluated
from gennas.studies.records import Evaluation
from gennas.studies.study import Study
from gennas.tasks import Task, get_task
from gennas.training.recipe import RECIPES, Recipe

PROBLEM = Problem(SPACE, "cifar10", "accuracy, -latency_ms@cpu", ["params_m <= 1.5"])
ONE = Problem(SPACE, "cifar10", "accuracy")
ARCHS = random_archs(SPACE, 14, np.random.default_rng(0))


class Hashed(Evaluator):
    source, is_instant = "table", True

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}", "latency_ms@cpu")

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {f"accuracy@{task.name}": 0.9 * accuracy_of(arch), "latency_ms@cpu": 1 + accuracy_of(arch)}


class Watching(Policy):
    """Random search that remembers what it was shown."""

    name = "watching"

    def __init__(self) -> None:
        self.histories: list[History] = []

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        self.histories.append(history)
        return [Proposal(arch, "random") for arch in random_archs(SPACE, q, rng, history.taken)]


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_several_metrics_are_read_and_a_column_that_is_not_used_is_named(tmp_path: Path) -> None:
    file = written(
        tmp_path / "mine.csv",
        "name;key;latency_ms;Accuracy@cifar10;date",
        f"a;{ARCHS[0].key};1,5;0,9;monday",
        f"b;{ARCHS[1].key};2,5;;tuesday",
    )
    found = Observations.of(file, PROBLEM)
    costs = [all_costs(SPACE, arch, PROBLEM.task) for arch in ARCHS[:2]]
    assert list(found.values) == ARCHS[:2]
    assert found.values[ARCHS[0]] == {**costs[0], "latency_ms@cpu": 1.5, "accuracy@cifar10": 0.9}
    assert found.values[ARCHS[1]] == {**costs[1], "latency_ms@cpu": 2.5}
    assert found.notes[1] == "columns not used: name, date."
    file.write_text(file.read_text().replace("name;", "latencyms;", 1))
    near = "columns not used: latencyms, date (latencyms: did you mean latency_ms?)."
    assert Observations.read(file, PROBLEM).notes[1] == near
    assert found.notes[0].startswith("starts from 2 evaluated archs, with ")


def test_what_was_evaluated_teaches_and_is_known_and_costs_no_budget() -> None:
    policy = Watching()
    given = {arch.key: {"accuracy": 0.1 * n, "latency_ms": 1.0} for n, arch in enumerate(ARCHS[:3])}
    result = search_archs(PROBLEM, 6, policy=policy, evaluators=[Hashed()], evaluated=given)
    first = policy.histories[0]
    assert first.archs == tuple(ARCHS[:3])
    assert first.values[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert first.values[:, 2].tolist() == [SPACE.costs(arch, PROBLEM.task)["params_m"] for arch in ARCHS[:3]]
    assert set(first.proposed_by) == {EVALUATED}
    assert not first.pending.any()
    assert not first.failed.any()
    assert (result.proposed, len(result.frame())) == (6, 6)
    functions = {function_key(SPACE, arch) for arch in ARCHS[:3]}
    assert not functions & {function_key(SPACE, SPACE.parse(key)) for key in result.frame()["key"]}


@pytest.mark.parametrize("method", [name for name in POLICIES.list() if name not in ("gennas", "generator", "area")])
def test_every_policy_goes_on_from_what_was_evaluated(method: str) -> None:
    options = {"bananas": {"steps": "5", "candidates": "20"}, "gp": {"steps": "3", "candidates": "20"}}.get(method)
    given = {arch: {"accuracy": accuracy_of(arch)} for arch in ARCHS}
    result = search_archs(ONE, 3, policy=make_policy(method, ONE, options), evaluators=[Hashed()], evaluated=given)
    assert result.proposed == 3
    modelled = {"bananas": "mutated", "gp": "mutated random", "local_search": "neighbour"}.get(method)
    if modelled:
        assert set(result.frame()["proposed_by"]) <= set(modelled.split()), "it did not learn from them"


def test_a_gaussian_process_waits_for_an_arch_that_was_evaluated_whole() -> None:
    partly: dict[Arch, dict[str, float]] = {
        arch: {"accuracy": accuracy_of(arch)} if row % 2 else {"latency_ms": 1 + accuracy_of(arch)}
        for row, arch in enumerate(ARCHS)
    }
    policy = make_policy("gp", PROBLEM, {"steps": "3", "candidates": "20"})
    for given, is_modelled in ((partly, False), ({**partly, ARCHS[0]: {"accuracy": 0.5, "latency_ms": 1.0}}, True)):
        history = History.nothing(PROBLEM).begun_with(Observations.of(given, PROBLEM).values, PROBLEM.metrics)
        proposals = policy.propose(2, history, np.random.default_rng(0))
        assert [proposal.acquisition_value is not None for proposal in proposals] == [is_modelled] * 2


@pytest.mark.parametrize("order", [1, -1], ids=["best last", "best first"])
def test_regularised_evolution_begins_with_the_best_of_a_file_in_any_order(
    order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    archs, parents = sorted(ARCHS, key=accuracy_of), list[Arch]()

    def watched(space: Space, parent: Arch, *rest: Any, **options: Any) -> Arch | None:
        parents.append(parent)
        return fresh_mutant(space, parent, *rest, **options)

    monkeypatch.setattr("gennas.search.policies.regularised_evolution.fresh_mutant", watched)
    given = {arch: {"accuracy@cifar10": accuracy_of(arch)} for arch in archs[::order]}
    policy = RegularisedEvolution(ONE, population=4, sample=1)
    policy.propose(40, History.nothing(ONE).begun_with(given, ONE.metrics), np.random.default_rng(0))
    assert set(parents) == set(archs[-4:])
    # What the search evaluates takes the place of the worst of them.
    parents.clear()
    trials = History((archs[0],), np.zeros((1, 1)), np.zeros(1, bool), np.zeros(1, bool), ("mutated",))
    policy.propose(
        40,
        trials.begun_with({arch: given[arch] for arch in given if arch != archs[0]}, ONE.metrics),
        np.random.default_rng(0),
    )
    assert set(parents) == {archs[0], *archs[-3:]}


def test_the_gennas_policy_fits_its_surrogate_to_them() -> None:
    given = {arch: {"accuracy": accuracy_of(arch)} for arch in ARCHS}
    search = Search(ONE, budget=2, evaluated=given, policy="gennas")
    trials = search.ask(2)
    assert {trial.proposed_by for trial in trials} <= {"mutated", "generated"}
    assert all(trial.acquisition_value is not None for trial in trials)


def test_the_best_may_be_among_them_and_is_named_so() -> None:
    given = {ARCHS[0]: {"accuracy": 0.99}, ARCHS[1]: {"accuracy": 0.2}}
    result = search_archs(ONE, 4, policy="random", evaluators=[Hashed()], evaluated=given)
    (best,) = result.best
    assert (best.arch, best.number, best.proposed_by, best.folder) == (ARCHS[0], None, EVALUATED, None)
    assert best.metrics["accuracy@cifar10"] == 0.99
    assert f"{ARCHS[0].key} is one of the archs given as evaluated; no evaluation" in result.notes[-1]
    worse = search_archs(ONE, 4, policy="random", evaluators=[Hashed()], evaluated={ARCHS[0]: {"accuracy": 0.0}})
    assert worse.best[0].number is not None
    assert not any("given as evaluated" in note for note in worse.notes)


def test_a_front_says_which_of_it_was_given() -> None:
    given = {ARCHS[0]: {"accuracy": 0.99, "latency_ms@cpu": 3.0}, ARCHS[1]: {"accuracy": 0.98}}
    result = search_archs(PROBLEM, 5, policy="random", evaluators=[Hashed()], evaluated=given)
    assert ARCHS[0] in result.archs
    assert ARCHS[1] not in result.archs, "it was not evaluated whole"
    assert any(f"were given as evaluated: {ARCHS[0].key}." in note for note in result.notes)


def test_the_same_values_resume_and_others_are_refused(tmp_path: Path) -> None:
    def run(budget: int, values: Mapping[str, Mapping[str, float]] | None) -> list[str]:
        result = search_archs(ONE, budget, policy="random", evaluators=[Hashed()], study=tmp_path, evaluated=values)
        return list(result.frame()["key"])

    given = {arch.key: {"accuracy": 0.5} for arch in ARCHS[:2]}
    first = run(3, given)
    assert run(5, given)[:3] == first
    for other, message in (
        (None, r"evaluated was given, is now not set\."),
        ({ARCHS[0].key: {"accuracy": 0.5}}, r"evaluated has other content than before\."),
    ):
        with pytest.raises(StudyError, match=message):
            run(5, other)


def test_another_image_size_does_not_blame_the_evaluated_archs() -> None:
    """Costs change with the size of images; what was given does not."""
    given = {arch.key: {"accuracy": 0.5} for arch in ARCHS[:2]}
    found = [
        Observations.of(given, Problem("nasbench201", get_task("digits", image_size=size), "accuracy"))
        for size in (16, 32)
    ]
    assert found[0].values != found[1].values
    assert found[0].fingerprint == found[1].fingerprint
    other = Observations.of({**given, ARCHS[0].key: {"accuracy": 0.6}}, Problem("nasbench201", "digits", "accuracy"))
    assert other.fingerprint != found[0].fingerprint


def test_a_run_folder_is_read_whole(tmp_path: Path) -> None:
    with Study.open(tmp_path, {"seed": 0}) as study:
        row = {"space": SPACE.name, "task": "cifar10"}
        study.add(
            [
                Evaluation(arch=ARCHS[0].key, metric="accuracy@cifar10", value=0.9, source="trained", **row),
                Evaluation(arch=ARCHS[1].key, metric="accuracy@cifar10", value=0.8, source="trained", **row),
                Evaluation(
                    arch=ARCHS[0].key, metric="latency_ms@cpu", value=2.0, source="measured", hardware="cpu", **row
                ),
                Evaluation(
                    arch=ARCHS[1].key, metric="latency_ms@cpu", value=9.0, source="predicted", hardware="cpu", **row
                ),
            ]
        )
    found = Observations.read(tmp_path, PROBLEM).values
    assert found[ARCHS[0]]["latency_ms@cpu"] == 2.0
    assert found[ARCHS[1]]["accuracy@cifar10"] == 0.8
    assert "latency_ms@cpu" not in found[ARCHS[1]], "a prediction is no observation"
    with pytest.raises(InvalidInputError, match="holds no accuracy@digits"):
        Observations.read(tmp_path, Problem(SPACE, "digits"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["key,latency_ms@pixel3", "KEY,1"], "starts with 'key,latency_ms@pixel3'; expected .* has key and accuracy"),
        (
            ["key,acuracy@cifar10", "KEY,1"],
            r"'key,acuracy@cifar10' \(acuracy@cifar10: did you mean accuracy@cifar10\?\)",
        ),
        (["Keys;accuracy", "KEY;1"], r"starts with 'Keys;accuracy' \(Keys: did you mean key\?\); expected"),
        (["key,accuracy", "KEY,7.5"], r"line 2: .*accuracy@cifar10 is 7.5; must be in \[0, 1\]"),
        (["key,accuracy", "0001 gcn gcn gcn gcn,0.5"], "line 2: .*looks like an arch of NAS-Bench-Graph"),
        (["key,accuracy,accuracy@cifar10", "KEY,0.5,0.6"], "starts with"),
        (["key,accuracy,latency_ms", "KEY,,"], "has no accuracy@cifar10; fill it in"),
        (["key,accuracy", "KEY,0.5", "KEY,0.6"], "line 3: .*has accuracy@cifar10 0.6, but 0.5 in line 2"),
        (["key,accuracy", "KEY,good"], "line 2: accuracy@cifar10 is 'good'; expected a number"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(tmp_path: Path, lines: list[str], message: str) -> None:
    file = written(tmp_path / "mine.csv", *(line.replace("KEY", ARCHS[0].key) for line in lines))
    with pytest.raises(InvalidInputError, match=message) as failure:
        Observations.read(file, PROBLEM)
    assert failure.value.argument == "evaluated"


def test_python_values_that_cannot_be_used() -> None:
    for given, error, message in (
        ({"nonsense": {"accuracy": 0.5}}, InvalidArchError, "not a valid nasbench201"),
        ({ARCHS[0]: {"accuracy": 5.0}}, InvalidInputError, "accuracy@cifar10 is 5; must be in"),
        ({ARCHS[0]: {"latency_ms@pixel3": 5.0}}, InvalidInputError, "has none of accuracy@cifar10"),
        ({ARCHS[0]: {"speed": 5.0}}, UnknownNameError, "speed"),
    ):
        with pytest.raises(error, match=message):
            Search(ONE, evaluated=given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({ARCHS[0]: 0.93}, InvalidInputError, r"has 0.93; expected archs or their keys with metric names and values"),
        ([ARCHS[0]], InvalidInputError, "expected archs or their keys with metric names and values"),
        ({get_space("nasbench101").sample(np.random.default_rng(0)): {"accuracy": 0.5}}, InvalidArchError, "of space"),
        ({7: {"accuracy": 0.5}}, InvalidArchError, "'7' is no arch; expected archs of 'nasbench201'"),
        ({ARCHS[0]: {"accuracy": 0.5, "accuracy@cifar10": 0.6}}, InvalidInputError, "0.6, but 0.5 before"),
        ({ARCHS[0]: {"accuracy": 0.5}, ARCHS[0].key: {"accuracy": 0.6}}, InvalidInputError, "0.6, but 0.5 before"),
    ],
)
def test_values_that_are_not_archs_with_metrics_are_one_clear_error(
    given: Mapping[Arch, Mapping[str, float]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Observations.of(given, ONE)


def test_the_same_value_may_be_given_twice() -> None:
    given = {ARCHS[0]: {"accuracy": 0.5}, ARCHS[0].key: {"accuracy@cifar10": 0.5}}
    assert Observations.of(given, ONE).values[ARCHS[0]]["accuracy@cifar10"] == 0.5


def search_in(folder: Path, skeleton: str, image_size: int = 8) -> Problem:
    problem = Problem(get_space("nasbench201", skeleton), get_task("digits", image_size=image_size), "accuracy")
    search = Search(problem, study=folder, budget=3, policy="random")
    for number, trial in enumerate(search):
        search.tell(trial, {"accuracy": 0.1 * number})
    search.close()
    return problem


def test_a_run_folder_of_other_networks_or_images_is_refused(tmp_path: Path) -> None:
    small = search_in(tmp_path / "run", "channels=4,cells=1")
    assert len(Observations.read(tmp_path / "run", small).values) == 3
    for space, task, message in (
        (get_space("nasbench201"), small.task, "space.skeleton.channels was 4, is now 16; .*cells was 1, is now 5"),
        (small.space, get_task("digits", image_size=16), r"digits.input_shape was \[3, 8, 8\], is now \[3, 16, 16\]"),
        (get_space("nasbench101"), small.task, "space.name was 'nasbench201', is now 'nasbench101'"),
    ):
        with pytest.raises(InvalidInputError, match=message) as failure:
            Observations.read(tmp_path / "run", Problem(space, task, "accuracy"))
        assert failure.value.argument == "evaluated"


def test_the_same_task_with_other_images_is_refused(tmp_path: Path) -> None:
    problem = search_in(tmp_path / "run", "channels=4,cells=1")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(problem.task.splits().fingerprint, "0" * 12))
    with pytest.raises(InvalidInputError, match=r"digits\.images was"):
        Observations.read(tmp_path / "run", problem)


def test_a_collection_on_other_images_is_refused(tmp_path: Path) -> None:
    small, large = (get_task("digits", image_size=size) for size in (8, 16))
    space, archs = get_space("nasbench201"), random_archs(get_space("nasbench201"), 3, np.random.default_rng(0))
    with Study.open(tmp_path / "run", settings_of(space, Recipe.named("tiny"))) as study:
        note_tasks(study.folder, [small, get_task("tiny-places-four")])
        facts = {"space": space.name, "task": "digits", "metric": "accuracy@digits", "source": "trained"}
        study.add([Evaluation(arch=arch.key, value=0.5, **facts) for arch in archs])
    assert len(Observations.read(tmp_path / "run", Problem(space, small, "accuracy")).values) == 3
    with pytest.raises(InvalidInputError, match=r"digits.input_shape was \[3, 8, 8\], is now \[3, 16, 16\]"):
        Observations.read(tmp_path / "run", Problem(space, large, "accuracy"))
    with pytest.raises(InvalidInputError, match="its tasks are digits, tiny-places-four, not cifar10"):
        Observations.read(tmp_path / "run", Problem(space, "cifar10", "accuracy"))
    several = Problem(space, [get_task("tiny-places-four"), small], "accuracy@tiny-places-four, accuracy@digits")
    assert len(Observations.read(tmp_path / "run", several).values) == 3
    other = Problem(space, [get_task("tiny-places-four"), large], "accuracy@tiny-places-four, accuracy@digits")
    with pytest.raises(InvalidInputError, match=r"digits.input_shape was"):
        Observations.read(tmp_path / "run", other)


def test_accuracies_of_another_skeleton_still_teach_a_predictor_and_are_named(tmp_path: Path) -> None:
    small = search_in(tmp_path / "run", "channels=4,cells=1")
    same = read_evaluated(tmp_path / "run", small.space, "digits")
    assert same.notes == ()
    # Its values are no trainings' of any recipe.
    assert not any(same.is_trained_by(recipe) for recipe in RECIPES.values())
    found = read_evaluated(tmp_path / "run", get_space("nasbench201"), "digits")
    assert len(found.archs) == 3
    assert "skeleton.channels was 4, is now 16" in found.notes[0]


def test_who_reads_accuracies_knows_the_recipe_of_the_trainings(tmp_path: Path) -> None:
    problem = search_in(tmp_path / "run", "channels=4,cells=1")
    facts = {"space": problem.space.name, "task": "digits", "metric": "accuracy@digits", "source": "trained"}
    by = replace(RECIPES["tiny"], seed=7)
    with Study.open(tmp_path / "run", Study(tmp_path / "run").config) as study:
        for arch in random_archs(problem.space, 4, np.random.default_rng(1), set()):
            study.add([Evaluation(arch=arch.key, value=0.5, seed=by.seed, recipe=by.hash, **facts)])
    found = read_evaluated(tmp_path / "run", problem.space, "digits")
    assert len(found.archs) == 4
    assert [name for name, recipe in RECIPES.items() if found.is_trained_by(recipe)] == ["tiny"]


@pytest.mark.parametrize("factor", [1.0, 1e-3])
def test_seconds_are_not_read_as_milliseconds(factor: float) -> None:
    problem = Problem("nasbench201", "cifar10", "accuracy, -latency_ms@raspi4")
    archs = random_archs(problem.space, 6, np.random.default_rng(0), set())
    latencies = {arch: factor * (5 + problem.space.costs(arch, problem.task)["macs_m"]) for arch in archs}
    given = {arch: {"accuracy": 0.9, "latency_ms@raspi4": latency} for arch, latency in latencies.items()}
    if factor == 1.0:
        assert len(Observations.of(given, problem).values) == 6
        return
    with pytest.raises(InvalidInputError, match=r"values of latency_ms@raspi4 mean .* Are they seconds\?"):
        Observations.of(given, problem)


def test_archs_that_lack_a_metric_are_said_not_to_be_among_the_best() -> None:
    problem = Problem("nasbench201", "cifar10", "accuracy, -latency_ms@raspi4")
    (arch,) = random_archs(problem.space, 1, np.random.default_rng(0), set())
    assert "they have no latency_ms@raspi4." in Observations.of({arch: {"accuracy": 0.9}}, problem).notes[-1]
    whole = Observations.of({arch: {"accuracy": 0.9, "latency_ms@raspi4": 50.0}}, problem)
    assert not any("they have no" in note for note in whole.notes)
