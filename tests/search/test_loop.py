"""The loop: what is proposed depends on values alone, failures do not stop it, and killing it changes nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import loop_toys
import numpy as np
import pytest
from loop_toys import ACCURACY, SPACE, TASK, Attentive, Toy, accuracy_of, problem, unlucky
from sqlalchemy import Engine, event

from gennas.arch import Arch
from gennas.errors import InvalidInputError, StudyError
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.table import TableEvaluator
from gennas.evaluators.train import TrainEvaluator
from gennas.executors.inline import InlineExecutor
from gennas.executors.processes import ProcessExecutor
from gennas.metrics import Objective
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.loop import run
from gennas.spaces import get_space
from gennas.studies.cache import Cache
from gennas.studies.records import Row
from gennas.studies.study import Study
from gennas.tables import Table
from gennas.tasks import Task, get_task
from gennas.training.recipe import Recipe

INSTANT = (CostEvaluator(SPACE), Toy(is_instant=True, fails="raises"))


def go(study: Study, *, policy: Policy | None = None, evaluators: Sequence[Any] = INSTANT, **options: Any) -> History:
    settings = {"budget": 14, "batch": 4, "seed": 1, **options}
    where = settings.pop("problem", problem("params_m <= 0.8"))
    return run(where, policy or Attentive(), evaluators, study, settings.pop("executor", None), **settings)


class Measured(Toy):
    """A latency that takes time to measure, though less than a training."""

    is_exclusive = True

    def metrics(self, task: Task) -> tuple[str, ...]:
        return ("latency_ms@cpu",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {"latency_ms@cpu": SPACE.costs(arch, task)["macs_m"]}


class Simulated(Measured):
    """The same, by what takes as long as a training."""

    is_exclusive = False


def seed_of_bad_luck(q: int) -> int:
    """A seed under which some of the first ``q`` archs fail, but not all."""
    nothing = History.nothing(problem())
    for seed in range(99):
        proposals = Attentive().propose(q, nothing, np.random.default_rng([seed, 0]))
        if 0 < sum(unlucky(proposal.arch) for proposal in proposals) < q:
            return seed
    raise AssertionError("no such seed")


def rows(study: Study) -> tuple[list[Any], ...]:
    """All that a run must repeat exactly."""
    proposals = [(one.number, one.batch, one.arch, one.proposed_by, one.acquisition_value) for one in study.proposals()]
    values = [(one.arch, one.metric, one.value, one.source, one.seed, one.fidelity) for one in study.find()]
    failures = [(one.arch, one.metrics, one.reason, one.message, one.attempt) for one in study.failures()]
    return proposals, sorted(values), sorted(failures)


def test_every_value_of_a_run_is_stored_and_seen() -> None:
    study, policy = Study.in_memory(), Attentive()
    lines: list[tuple[int, str]] = []
    history = go(study, policy=policy, report=lambda done, note: lines.append((done, note)))
    assert [one.number for one in study.proposals()] == list(range(14))
    assert [one.batch for one in study.proposals()] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2
    assert [one.arch for one in study.proposals()] == [arch.key for arch in history.archs]
    assert not history.pending.any()
    assert [len(seen.archs) for seen in policy.histories] == [0, 4, 8, 12]
    assert all(not seen.pending.any() for seen in policy.histories)
    is_feasible = np.array([SPACE.costs(arch, TASK)["params_m"] <= 0.8 for arch in history.archs])
    lucky = np.array([not unlucky(arch) for arch in history.archs])
    assert is_feasible.any()
    assert not is_feasible.all()
    assert (is_feasible & ~lucky).any()
    np.testing.assert_array_equal(history.failed, is_feasible & ~lucky)
    np.testing.assert_array_equal(np.isfinite(history.values[:, 0]), is_feasible & lucky)
    assert np.isfinite(history.values[:, 1]).all()
    for arch, (accuracy, params) in zip(history.archs, history.values.tolist(), strict=True):
        found = {one.metric: one for one in study.find(arch=arch.key)}
        assert found["params_m"].value == params
        assert found["params_m"].source == "computed"
        if np.isfinite(accuracy):
            assert found[ACCURACY].value == accuracy == accuracy_of(arch)
            assert found[f"test_{ACCURACY}"].source == "trained"
    assert {one.arch for one in study.failures()} == {history.archs[i].key for i in np.flatnonzero(history.failed)}
    assert [done for done, _ in lines] == list(range(1, 15))
    assert sum("RuntimeError: no memory for 3 bytes" in note for _, note in lines) == history.failed.sum()


class Interrupted(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("before", [True, False])
def test_a_run_that_ends_at_any_store_goes_on_to_the_same_end(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Study.in_memory()
    go(whole)
    add, left = Study.add, 0

    def ending(self: Study, stored: Sequence[Row]) -> int:
        nonlocal left
        left -= 1
        if left < 0 and before:
            raise Interrupted
        added = add(self, stored)
        if left < 0:
            raise Interrupted
        return added

    monkeypatch.setattr(Study, "add", ending)
    ends = 0
    for stores in range(99):
        study, left = Study.in_memory(), stores
        try:
            go(study)
        except Interrupted:
            ends += 1
            left = 10_000
            go(study)
        assert rows(study) == rows(whole)
        if left > 0 and left < 9_000:
            break
    assert ends >= 8


def test_what_is_known_is_not_evaluated_again(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    evaluators = (CostEvaluator(SPACE), Toy(is_instant=True, fails="raises", log=log))
    study = Study.in_memory()
    history = go(study, evaluators=evaluators, budget=8)
    evaluated = log.read_text().splitlines()
    assert len(set(evaluated)) == len(evaluated)
    policy = Attentive()
    again = go(study, evaluators=evaluators, budget=8, policy=policy)
    assert policy.histories == []
    assert again.archs == history.archs
    np.testing.assert_array_equal(again.values, history.values)
    np.testing.assert_array_equal(again.failed, history.failed)
    more = go(study, evaluators=evaluators, budget=12)
    assert more.archs[:8] == history.archs
    assert log.read_text().splitlines()[: len(evaluated)] == evaluated
    assert len(set(log.read_text().splitlines())) == len(log.read_text().splitlines())


def test_other_seeds_and_fidelities_are_other_values(tmp_path: Path) -> None:
    class Seeded(Toy):
        def conditions(self, seed: int, fidelity: int | None) -> Any:
            return TrainEvaluator(SPACE, Recipe(), tmp_path).conditions(seed, fidelity)

    study, log = Study.in_memory(), tmp_path / "log.txt"
    for seed, fidelity in ((1, None), (1, 5), (2, 5), (2, 5)):
        go(study, evaluators=(CostEvaluator(SPACE), Seeded(is_instant=True, log=log)), seed=seed, fidelity=fidelity)
    keys = log.read_text().splitlines()
    assert len(keys) == 3 * len(set(keys))
    trained = study.find(metric=ACCURACY)
    assert {(one.seed, one.fidelity) for one in trained} == {(1, 10), (1, 5), (2, 5)}
    assert {one.recipe for one in trained} == {
        Recipe(seed=1).hash,
        Recipe(seed=1, epochs=5).hash,
        Recipe(seed=2, epochs=5).hash,
    }


def test_a_bound_spares_what_is_expensive(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    history = go(Study.in_memory(), evaluators=(CostEvaluator(SPACE), Toy(is_instant=True, log=log)))
    params = {arch.key: value for arch, value in zip(history.archs, history.values[:, 1], strict=True)}
    assert set(log.read_text().splitlines()) == {key for key, value in params.items() if value <= 0.8}
    assert max(params.values()) > 0.8
    assert not history.failed.any()


@pytest.mark.parametrize(
    ("fails", "reason", "message"),
    [
        ("raises", "raised", "RuntimeError: no memory for 3 bytes"),
        ("full", "raised", "OSError: [Errno 28] No space left on device"),
        ("nan", "not_finite", "accuracy@cifar100 is nan"),
        ("inf", "not_finite", "accuracy@cifar100 is inf"),
        ("nothing", "raised", "it gave no accuracy@cifar100"),
        ("strange", "raised", "unknown metric 'speed'."),
    ],
)
def test_a_failure_is_stored_and_the_run_goes_on(fails: str, reason: str, message: str) -> None:
    study = Study.in_memory()
    history = go(study, evaluators=(Toy(is_instant=True, fails=fails),), problem=problem(), fidelity=3)
    bad = [arch.key for arch in history.archs if unlucky(arch)]
    assert len(bad) > 1
    assert [one.arch for one in study.failures()] == bad
    assert all(one.reason == reason and one.message.startswith(message) for one in study.failures())
    assert all(one.metrics == ACCURACY and one.attempt == 1 for one in study.failures())
    assert history.failed.tolist() == [arch.key in bad for arch in history.archs]
    assert set(study.frame()["arch"]) == {arch.key for arch in history.archs} - set(bad)


def test_hanging_and_dying_evaluations_are_failures_too() -> None:
    study = Study.in_memory()
    with ProcessExecutor(2) as executor:
        settings = {"executor": executor, "problem": problem(), "budget": 5, "batch": 5, "seed": seed_of_bad_luck(5)}
        hung = go(study, evaluators=(Toy(fails="hangs"),), timeout=0.5, **settings)
        died = Study.in_memory()
        go(died, evaluators=(Toy(fails="dies"),), **settings)
    bad = {arch.key for arch in hung.archs if unlucky(arch)}
    assert 0 < len(bad) < 5
    assert {one.arch for one in study.failures(reason="timeout")} == bad == {one.arch for one in study.failures()}
    for key in bad:
        lost = died.failures(arch=key)
        assert [(one.reason, one.attempt) for one in lost] == [("lost", 1), ("lost", 2), ("lost", 3)]
    assert {one.arch for one in died.find(metric=ACCURACY)} == {arch.key for arch in hung.archs} - bad


def test_attempts_are_counted_over_resumes(tmp_path: Path) -> None:
    class Dying(Exception):
        pass

    def after_a_loss(done: int, note: str) -> None:
        if "retrying" in note:
            raise Dying

    with Study.open(tmp_path / "study", {}) as study, ProcessExecutor(1) as executor:
        settings = {
            "executor": executor,
            "problem": problem(),
            "budget": 4,
            "batch": 4,
            "seed": seed_of_bad_luck(4),
            "evaluators": (Toy(fails="dies"),),
        }
        with pytest.raises(Dying):
            go(study, report=after_a_loss, **settings)
        (bad,) = {one.arch for one in study.failures()}
        assert [one.attempt for one in study.failures()] == [1]
        for _ in range(2):
            history = go(study, **settings)
            assert [one.attempt for one in study.failures(arch=bad)] == [1, 2, 3]
            assert bad in {arch.key for arch, failed in zip(history.archs, history.failed, strict=True) if failed}


@pytest.mark.parametrize(
    ("first", "bound", "proposed", "trained"),
    [
        # Nothing is trained: the run ends after as many again.
        (Measured(), "latency_ms@cpu <= 1", 12, 0),
        (Measured(), "latency_ms@cpu >= 1", 6, 6),
        # What costs as much as a training was not spared; what is looked up is.
        (Simulated(), "latency_ms@cpu <= 1", 6, 0),
        (Measured(is_instant=True), "latency_ms@cpu <= 1", 12, 0),
    ],
)
def test_what_a_bound_stopped_before_it_was_trained_uses_no_budget(
    first: Toy, bound: str, proposed: int, trained: int
) -> None:
    study, notes = Study.in_memory(), []
    history = go(
        study,
        evaluators=(first, Toy()),
        problem=problem(bound),
        executor=InlineExecutor(),
        budget=6,
        report=lambda done, note: notes.append((done, note)),
    )
    assert (len(history.archs), int(np.isfinite(history.values[:, 0]).sum())) == (proposed, trained)
    free = [done for done, note in notes if note.endswith("; does not count")]
    assert free == [0] * (proposed - 6)
    counted = [note for _, note in notes if note.endswith("; counts, as 6 before it did not")]
    assert len(counted) == (6 if proposed == 12 else 0)
    assert max(done for done, _ in notes) == 6
    # Repeated, a finished run has nothing to do.
    again = go(study, evaluators=(first, Toy()), problem=problem(bound), executor=InlineExecutor(), budget=6)
    assert len(again.archs) == proposed


def test_a_table_spends_its_budget_on_what_breaks_a_bound() -> None:
    history = go(
        Study.in_memory(),
        evaluators=(Measured(is_instant=True), Toy(is_instant=True)),
        problem=problem("latency_ms@cpu <= 1"),
        budget=6,
    )
    assert len(history.archs) == 6


def test_two_workers_of_random_speed_lead_to_the_same_proposals() -> None:
    found, histories = [], []
    with ProcessExecutor(2) as executor:
        for _ in range(3):
            study, policy = Study.in_memory(), Attentive()
            go(study, policy=policy, evaluators=(CostEvaluator(SPACE), Toy(0.06)), executor=executor)
            found.append(rows(study))
            histories = policy.histories
    assert found[0] == found[1] == found[2]
    # One batch is always under way, and shown as such.
    assert [(len(history.archs), int(history.pending.sum())) for history in histories] == [
        (0, 0),
        (4, 4),
        (8, 4),
        (12, 4),
        # What was stopped at the bound on parameters does not count.
        (14, 2),
    ]
    assert all(np.isnan(history.values[history.pending]).all() for history in histories)


def test_a_run_killed_at_random_and_repeated_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    def start(folder: str) -> subprocess.Popen[str]:
        command = [sys.executable, loop_toys.__file__, str(tmp_path / folder), "2"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    with start("whole") as process:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    kills, before = 0, 0
    for _ in range(12):
        with start("killed") as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.4))
            if before == 0:
                with pytest.raises(StudyError, match="another process is writing to"):
                    Study.open(tmp_path / "killed", {"seed": 3})
            # The first time by Ctrl-C.
            process.send_signal(signal.SIGKILL if kills else signal.SIGINT)
            if process.wait(60) == 0:
                break
            kills += 1
            assert process.returncode in (-signal.SIGKILL, -signal.SIGINT)
        now = len(Study(tmp_path / "killed").find())
        assert now >= before
        before = now
        if kills == 3:
            with start("killed") as process:
                _, errors = process.communicate(timeout=120)
                assert process.returncode == 0, errors
            break
    assert kills >= 1
    assert rows(Study(tmp_path / "killed")) == rows(Study(tmp_path / "whole"))
    proposed = [SPACE.costs(SPACE.parse(one.arch), TASK)["params_m"] for one in Study(tmp_path / "whole").proposals()]
    assert sum(cost <= 0.8 for cost in proposed) == 16


def test_a_policy_that_has_no_more_ends_the_run() -> None:
    study = Study.in_memory()
    assert len(go(study, policy=Attentive(most=6)).archs) == 6
    assert [one.batch for one in study.proposals()] == [0, 0, 0, 0, 1, 1]
    assert len(go(study, policy=Attentive(most=6)).archs) == 6


class Stubborn(Policy):
    name = "stubborn"

    def __init__(self, count: int) -> None:
        self.count = count

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        archs = list(history.archs[:1]) or [SPACE.sample(np.random.default_rng(i)) for i in range(self.count)]
        return [Proposal(arch, "random") for arch in archs]


def test_what_cannot_be_run_is_refused_before_anything_is_stored() -> None:
    study = Study.in_memory()
    with pytest.raises(
        InvalidInputError, match=r"no evaluator gives latency_ms@x; they give accuracy@cifar100, macs_m"
    ):
        go(study, problem=problem(objective=f"{ACCURACY}, -latency_ms@x"))
    with pytest.raises(InvalidInputError, match="Toy takes time; give an executor"):
        go(study, evaluators=(Toy(),), problem=problem())
    with pytest.raises(InvalidInputError, match="budget is 0"):
        go(study, budget=0)
    with pytest.raises(InvalidInputError, match="proposed 9 archs; expected at most 4"):
        go(study, policy=Stubborn(9))
    assert study.proposals() == []
    with pytest.raises(InvalidInputError, match="again; expected at most 4 new ones"):
        go(study, policy=Stubborn(4))
    assert len(study.proposals()) == 4


def test_a_cache_spares_what_another_study_evaluated(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    cache = Cache(f"sqlite:///{tmp_path / 'cache.sqlite'}")
    with ProcessExecutor(1) as executor:
        settings = {"executor": executor, "cache": cache, "budget": 6, "batch": 3}
        first, second, third = Study.in_memory(), Study.in_memory(), Study.in_memory()
        for study in (first, second):
            go(study, evaluators=(CostEvaluator(SPACE), Toy(log=log)), **settings)
        keys = log.read_text().splitlines()
        assert len(keys) == len(set(keys)) == len(first.find(metric=ACCURACY)) > 2
        assert rows(first) == rows(second)
        created = [[one.created for one in study.find(metric=ACCURACY)] for study in (first, second)]
        assert created[0] == created[1]
        other = problem("params_m <= 0.8")
        other = Problem(get_space("nasbench201", "channels=8"), other.task, other.objective, other.where)
        go(third, evaluators=(CostEvaluator(SPACE), Toy(log=log)), problem=other, **settings)
    assert len(log.read_text().splitlines()) > len(keys)


def test_a_full_disk_ends_the_run_in_words_and_repeating_it_goes_on(tmp_path: Path) -> None:
    def small(connection: Any, record: Any) -> None:
        connection.execute("pragma max_page_count = 40")

    whole = Study.in_memory()
    go(whole, budget=60)
    event.listen(Engine, "connect", small)
    try:
        with (
            Study.open(tmp_path / "study", {}) as study,
            pytest.raises(StudyError, match=r"the disk is full .*make room and run the same command again"),
        ):
            go(study, budget=60)
    finally:
        event.remove(Engine, "connect", small)
    with Study.open(tmp_path / "study", {}) as study:
        stored = len(study.proposals())
        assert 0 < stored < 60
        go(study, budget=60)
        assert rows(study) == rows(whole)


def test_a_table_is_searched(tiny_table: Table) -> None:
    task = get_task("cifar10")
    searched = Problem(SPACE, task, Objective.parse("accuracy@cifar10, -latency_ms@cpu"))
    evaluator = TableEvaluator(tiny_table, ("accuracy@cifar10", "latency_ms@cpu"))
    study = Study.in_memory()
    history = go(study, problem=searched, evaluators=(evaluator,), budget=40, batch=10)
    known = [arch.key in tiny_table.frame.index for arch in history.archs]
    assert 0 < sum(known) < 40
    assert history.failed.tolist() == [not one for one in known]
    keys = [arch.key for arch, one in zip(history.archs, known, strict=True) if one]
    expected = tiny_table.frame.loc[keys, ["accuracy@cifar10", "latency_ms@cpu"]].to_numpy()
    np.testing.assert_array_equal(history.values[known], expected)
    assert set(study.frame().query("metric == 'latency_ms@cpu'")["hardware"]) == {"cpu"}


def test_networks_are_trained_and_measured_in_workers(tmp_path: Path) -> None:
    space, task = get_space("nasbench201", "channels=2,cells=1"), get_task("digits", image_size=8)
    real = Problem(space, task, Objective.parse("accuracy@digits, -latency_ms@cpu"))
    recipe = Recipe(epochs=1, batch_size=256)
    evaluators = (
        CostEvaluator(space),
        LatencyEvaluator(space, spec=LatencySpec(seconds=0.05)),
        TrainEvaluator(space, recipe, tmp_path / "networks"),
    )
    study = Study.in_memory()
    with ProcessExecutor(1) as executor:
        history = go(study, problem=real, evaluators=evaluators, executor=executor, budget=2, batch=2, seed=7)
    assert np.isfinite(history.values).all()
    trained = [one for one in study.find(source="trained") if one.metric == "accuracy@digits"]
    assert {(one.seed, one.fidelity) for one in trained} == {(7, 1)}
    assert {one.recipe for one in trained} == {evaluators[2].conditions(7, None).recipe}
    assert all(one.seconds > 0 for one in study.find(source="measured"))


def test_no_more_than_the_budget_is_reported_as_done(tmp_path: Path) -> None:
    reports: list[int] = []
    with Study.open(tmp_path, {}) as study:
        go(study)
    with Study.open(tmp_path, {}) as study:
        go(study, budget=3, report=lambda done, note: reports.append(done))
    assert reports[:3] == [1, 2, 3]
    assert set(reports[3:]) == {3}
