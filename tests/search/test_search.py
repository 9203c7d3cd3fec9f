"""Search: asked and told one by one, it is the search of the loop, and it resumes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_toys import Attentive, Toy, accuracy_of, unlucky
from loop_toys import problem as toy_problem

from gennas.errors import InfeasibleError, InvalidInputError, StudyError, UnknownNameError
from gennas.evaluators.costs import CostEvaluator
from gennas.hardware import store
from gennas.problem import Problem
from gennas.search.loop import run
from gennas.search.policies.choice import PolicyChoice
from gennas.search.policies.random_search import RandomSearch
from gennas.search.search import Search
from gennas.studies.study import Study


def searching(study: Path | None = None, budget: int = 12, *bounds: str, **options: Any) -> Search:
    return Search(
        toy_problem(*bounds), study=study, budget=budget, policy=options.pop("policy", Attentive()), **options
    )


def answer(search: Search, most: int = 99) -> None:
    for trial, _ in zip(search, range(most), strict=False):
        if unlucky(trial.arch):
            search.tell(trial, state="failed", message="unlucky")
        else:
            search.tell(trial, {"accuracy": accuracy_of(trial.arch)})


def test_asking_one_by_one_is_the_loop_with_batches_of_one() -> None:
    search = searching()
    answer(search)
    study = Study.in_memory()
    evaluators = (CostEvaluator(search.space), Toy(is_instant=True, fails="raises"))
    history = run(toy_problem(), Attentive(), evaluators, study, budget=12, batch=1, seed=0)
    assert [trial.arch for trial in search.trials] == list(history.archs)
    assert [trial.state == "failed" for trial in search.trials] == history.failed.tolist()
    np.testing.assert_array_equal(search.history().values, history.values)


def test_several_at_once_are_one_batch_and_pending_for_the_next() -> None:
    policy = Attentive()
    search = searching(policy=policy)
    first = search.ask(4)
    assert [trial.batch for trial in first] == [0] * 4
    search.tell(first[2], {"accuracy": 0.5})
    search.ask(3)
    assert policy.histories[1].pending.tolist() == [True, True, False, True]
    assert policy.histories[1].values[2, 0] == 0.5
    assert np.isnan(policy.histories[1].values[[0, 1, 3], 0]).all()
    assert len(search.ask(99)) == 5
    assert search.ask(1) == []


def test_what_was_asked_and_never_told_is_asked_again(tmp_path: Path) -> None:
    with searching(tmp_path / "run") as search:
        asked = search.ask(3)
        search.tell(asked[1], {"accuracy": 0.25})
        keys = [trial.arch.key for trial in asked]
    with searching(tmp_path / "run") as again:
        assert again.trials[1].values["accuracy@cifar100"] == 0.25
        assert [trial.arch.key for trial in again.ask(2)] == [keys[0], keys[2]]
        assert again.ask(1)[0].number == 3


def test_stopped_anywhere_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = searching()
    answer(whole)
    for stop in (1, 5, 11):
        folder = tmp_path / str(stop)
        with searching(folder) as search:
            answer(search, stop)
        with searching(folder) as search:
            answer(search)
            assert search.frame().equals(whole.frame())


def test_a_larger_budget_goes_further_and_other_settings_are_refused(tmp_path: Path) -> None:
    with searching(tmp_path / "run", 3) as search:
        answer(search)
        assert len(search.trials) == 3
        with pytest.raises(StudyError, match="another process"):
            searching(tmp_path / "run", 3)
    with searching(tmp_path / "run", 5) as search:
        answer(search)
        assert len(search.trials) == 5
    with pytest.raises(StudyError, match="seed was 0, is now 1"):
        searching(tmp_path / "run", 5, seed=1)


def test_failures_cost_budget_and_are_no_best() -> None:
    search = searching(budget=3)
    for trial in search:
        search.tell(trial, state="failed", message="out of memory")
    assert [trial.message for trial in search.trials] == ["out of memory"] * 3
    assert search.best() is None
    assert search.front() == ()
    assert set(search.frame()["state"]) == {"failed"}


def test_the_best_and_the_front() -> None:
    search = Search(toy_problem(objective="accuracy@cifar100, -params_m"), budget=10, policy=Attentive())
    for trial in search:
        search.tell(trial, {"accuracy": accuracy_of(trial.arch), "test_accuracy": 0.1})
    frame = search.frame()
    best, front = search.best(), search.front()
    assert best is not None
    assert best.metrics["accuracy@cifar100"] == frame["accuracy@cifar100"].max()
    assert best.metrics["test_accuracy@cifar100"] == 0.1
    gains = np.column_stack([frame["accuracy@cifar100"], -frame["params_m"]])
    beaten = [bool(((gains >= row).all(1) & (gains > row).any(1)).any()) for row in gains]
    assert {entry.number for entry in front} == {number for number, by in enumerate(beaten) if not by}
    assert front[0] == best


def test_what_a_predictor_knows_need_not_be_told_but_may_be() -> None:
    problem = Problem("nasbench201", "cifar100", "accuracy, -latency_ms", hardware="pixel3")
    search = Search(problem, budget=2, policy=Attentive())
    first, second = search.ask(2)
    predicted = first.values["latency_ms@pixel3"]
    search.tell(first, {"accuracy": 0.5})
    search.tell(second, {"accuracy": 0.25, "latency_ms": 7.5})
    assert predicted > 0
    assert search.frame()["latency_ms@pixel3"].tolist() == [predicted, 7.5]
    assert search.study.find(arch=second.arch.key, source="reported", metric="latency_ms@pixel3")[0].value == 7.5
    assert any("latency_ms@pixel3" in note for note in search.notes)


def test_this_machine_is_asked_by_name() -> None:
    search = Search(Problem("nasbench201", "cifar100", "accuracy, -latency_ms@cpu"), budget=2, policy=Attentive())
    (trial,) = search.ask()
    with pytest.raises(InvalidInputError, match=r"trial 0 lacks latency_ms@cpu; tell all of accuracy@cifar100, lat"):
        search.tell(trial, {"accuracy": 0.5})
    assert trial.is_open
    search.tell(trial, {"accuracy": 0.5, "latency_ms@cpu": 3.0})
    assert trial.state == "done"


def test_a_bound_on_costs_is_known_before_anything_is_asked() -> None:
    search = searching(None, 20, "params_m <= 0.8")
    asked = search.ask(20)
    assert all(trial.values["params_m"] <= 0.8 for trial in asked)
    # What the bound stopped is not part of the budget.
    assert len(asked) == 20 < len(search.trials)
    assert all(not trial.is_open for trial in search.trials if trial not in asked)


def test_a_bound_that_nothing_keeps_ends_after_twice_the_budget() -> None:
    search = searching(None, 6, "macs_m >= 222")
    assert search.ask(6) == []
    assert len(search.trials) == 12
    search.budget = 8
    assert search.ask(1) == []
    assert len(search.trials) == 16


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"accuracy": 93.1}, r"accuracy is 93\.1; must be in \[0, 1\]"),
        ({"accuracy": float("nan")}, "accuracy is nan"),
        ({}, "lacks accuracy@cifar100"),
        ({"accuracy": 0.5, "latency_ms@cpu": -1}, "latency_ms@cpu is -1"),
    ],
)
def test_values_that_cannot_be_are_refused_and_the_trial_stays_open(values: dict[str, float], message: str) -> None:
    search = searching()
    (trial,) = search.ask()
    with pytest.raises(InvalidInputError, match=message):
        search.tell(trial, values)
    assert trial.is_open
    assert len(search.study.find(source="reported")) == 0
    search.tell(trial, {"accuracy": 0.5})


def test_misuse_is_refused() -> None:
    search, other = searching(), searching()
    (trial,) = search.ask()
    with pytest.raises(InvalidInputError, match="not of this search"):
        other.tell(trial, {"accuracy": 0.5})
    with pytest.raises(UnknownNameError, match="unknown metric 'acuracy'"):
        search.tell(trial, {"acuracy": 0.5})
    search.tell(trial, {"accuracy": 0.5})
    with pytest.raises(InvalidInputError, match="trial 0 is done already"):
        search.tell(trial, {"accuracy": 0.5})
    with pytest.raises(InvalidInputError, match="n is 0"):
        search.ask(0)
    with pytest.raises(InvalidInputError, match="budget is 0"):
        searching(budget=0)
    with pytest.raises(InfeasibleError, match=r"satisfies 'params_m <= 0\.01'"):
        searching(None, 3, "params_m <= 0.01")


def test_the_same_seed_proposes_the_same() -> None:
    problem = Problem("nasbench_graph", "cora")
    found = []
    for _ in range(2):
        search = Search(
            problem, budget=4, seed=3, policy=PolicyChoice("gennas", {"first": "2", "sought": "300"}, "none")
        )
        for trial in search:
            search.tell(trial, {"accuracy": accuracy_of(trial.arch)})
        found.append([trial.arch.key for trial in search.trials])
    assert found[0] == found[1]
    assert repr(search) == f"Search({problem!r}, 4 of 4 trials done)"


def test_the_loop_is_light_to_import() -> None:
    """Worker processes import the modules of their evaluators, which often import the loop's."""
    heavy = "botorch", "torch_geometric", "lightning", "sklearn", "pandas"
    code = f"import sys, gennas.search.loop; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_report_that_could_not_be_stored_may_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searching()
    (trial,) = search.ask()

    def full(self: Study, rows: object) -> int:
        raise StudyError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Study, "add", full)
        with pytest.raises(StudyError, match="disk full"):
            search.tell(trial, {"accuracy": 0.6})
    assert trial.is_open
    assert "accuracy@cifar100" not in trial.values
    assert search.best() is None
    search.tell(trial, {"accuracy": 0.6})
    assert [row.value for row in search.study.find(metric="accuracy@cifar100")] == [0.6]


def test_a_loop_that_was_interrupted_begins_with_what_it_left() -> None:
    search = searching(budget=5)
    for trial in search:
        if trial.number == 2:
            break
        search.tell(trial, {"accuracy": 0.5})
    numbers = []
    for trial in search:
        numbers.append(trial.number)
        search.tell(trial, {"accuracy": 0.5})
    assert numbers == [2, 3, 4]
    forgetful = searching(budget=5)
    with pytest.raises(InvalidInputError, match="trial 0 was not reported"):
        list(forgetful)
    assert len(forgetful.trials) == 1


def test_a_policy_that_fails_takes_no_waiting_trial_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with searching(tmp_path / "run") as search:
        search.ask(1)
    with searching(tmp_path / "run") as search:
        with monkeypatch.context() as patch:
            patch.setattr(search, "propose", lambda q, visible: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                search.ask(2)
        assert [trial.number for trial in search.ask(2)] == [0, 1]


def test_trials_travel_between_processes() -> None:
    search = searching()
    first, second = search.ask(2)
    search.tell(pickle.loads(pickle.dumps(first)), {"accuracy": 0.5})
    search.tell(second.number, {"accuracy": 0.25})
    assert [trial.values["accuracy@cifar100"] for trial in search.trials] == [0.5, 0.25]
    assert search.ask(1)[0].number == 2
    assert search.history().pending.tolist() == [False, False, True]


def test_other_measurements_of_a_device_are_another_search(tmp_path: Path, phone: str) -> None:
    problem = Problem("nasbench201", "cifar100", where=[f"latency_ms@{phone} <= 50"])
    with Search(problem, study=tmp_path / "run", budget=2, policy=Attentive()) as search:
        search.ask(1)
    device = store.load("nasbench201", phone)
    store.add(replace(device, measurements=device.measurements[:9]))
    with pytest.raises(StudyError, match=r"predicted\.measurements\.phone has other content than before"):
        Search(problem, study=tmp_path / "run", budget=2, policy=Attentive())


def test_what_does_not_fit_together_is_refused() -> None:
    problem, other = toy_problem(), Problem("nasbench_graph", "cora")
    with pytest.raises(InvalidInputError, match="policy 'random' was made for another problem"):
        Search(problem, policy=RandomSearch(other))
    with pytest.raises(InvalidInputError, match="params_m are computed; there is nothing to report"):
        Search(Problem("nasbench201", "cifar100", "-params_m"))
    with pytest.raises(InvalidInputError, match="prior is 'non'"):
        PolicyChoice(prior="non")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="seed is -1"):
        searching(seed=-1)
    search = searching()
    (trial,) = search.ask()
    with pytest.raises(InvalidInputError, match=r"state is 'fail'"):
        search.tell(trial, state="fail")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"values is 0\.5; expected metric names"):
        search.tell(trial, 0.5)  # type: ignore[arg-type]
    assert trial.is_open
    assert PolicyChoice("gennas", {"first": 5}).options == {"first": "5"}  # type: ignore[dict-item]


def test_reprs_say_what_matters() -> None:
    search = searching()
    (trial,) = search.ask()
    search.tell(trial, {"accuracy": 0.51234})
    assert repr(trial).startswith(f"Trial(0, {trial.arch.key!r}, done, params_m=")
    assert repr(search.best()).endswith("accuracy@cifar100=0.5123)")
