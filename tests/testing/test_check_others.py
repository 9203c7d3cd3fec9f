"""Conformance of policies, executors, tables, tasks and proxies: every broken contract is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from toys import Twins, mixed

from gennas.errors import InvalidInputError
from gennas.executors.base import Executor, Job, JobResult
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.proxies.base import ProxyBatch
from gennas.search.base import History, Policy, Proposal
from gennas.search.policies.random_search import RandomSearch
from gennas.spaces import get_space
from gennas.tables import Table, load_table
from gennas.tasks import Split, Splits, Task, get_task
from gennas.tasks.base import ImageSource
from gennas.testing import check_executor, check_policy, check_proxy, check_table, check_task

SPACE = get_space("nasbench201", "channels=2,cells=1")
PROBLEM = Problem(
    SPACE, get_task("cifar10"), Objective.parse("accuracy@cifar10"), (Constraint.parse("params_m <= 0.0025"),)
)


@dataclass(frozen=True, eq=False)
class Changed(RandomSearch):
    """A sound policy whose proposals are changed afterwards."""

    change: Callable[[list[Proposal], History], list[Proposal]] = lambda found, history: found

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        return self.change(super().propose(q, history, rng), history)


def test_a_sound_policy_passes() -> None:
    check_policy(Changed(PROBLEM), PROBLEM)


HEAVY = SPACE.arch(("input", *["nor_conv_3x3"] * 6, "output"))
CALLS: list[int] = []


def _forgetting(found: list[Proposal], history: History) -> list[Proposal]:
    CALLS.append(1)
    return [replace(one, acquisition_value=float(len(CALLS))) for one in found]


def _overwriting(found: list[Proposal], history: History) -> list[Proposal]:
    history.failed[:] = False
    return found


@pytest.mark.parametrize(
    ("change", "contract"),
    [
        (lambda found, history: found[:-1], "with nothing known: gives as many as are asked for, 3; found 2"),
        (lambda found, history: [*found[:2], found[0]], "archs are distinct"),
        (lambda found, history: [*found[:2], Proposal(HEAVY, "random")], "archs keep the bounds on costs"),
        (
            lambda found, history: [*found[:2], replace(found[2], arch=history.archs[0])] if history.archs else found,
            "with only failures known: archs are not in the history",
        ),
        (lambda found, history: [replace(one, proposed_by="by chance") for one in found], "proposed_by is one word"),
        (
            lambda found, history: [replace(one, acquisition_value=float("nan")) for one in found],
            "acquisition_value is None or finite",
        ),
        (
            lambda found, history: [replace(one, acquisition_value=float(torch.rand(1))) for one in found],
            "is the same for the same arguments, of a policy asked again",
        ),
        (
            lambda found, history: [replace(one, acquisition_value=float(np.random.rand())) for one in found],
            "is the same for the same arguments",
        ),
        (_forgetting, "is the same for the same arguments"),
        (_overwriting, "leaves the history as it is"),
    ],
)
def test_a_broken_policy_is_named(change: Any, contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_policy(Changed(PROBLEM, change), PROBLEM)
    assert contract in str(caught.value)


def test_a_policy_without_a_name_is_named() -> None:
    class Nameless(Policy):
        def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
            return []

    with pytest.raises(AssertionError, match="name: is a word"):
        check_policy(Nameless(), PROBLEM)


class Here(Executor):
    """Evaluates at once, as far as that is possible here: what hangs or dies is only said to have done so.

    Args:
        change: of the results.
    """

    capacity = 1

    def __init__(self, change: Callable[[list[JobResult]], list[JobResult]] = lambda results: results) -> None:
        self.change = change
        self.results: list[JobResult] = []
        self.hanging = False

    def submit(self, job: Job) -> None:
        if "<locals>" in type(job.evaluator).__qualname__:
            raise InvalidInputError("it cannot be sent")
        what = getattr(job.evaluator, "what", "")
        reasons: dict[str, Any] = {"raise": "raised", "hang": "timeout", "die": "lost"}
        if what == "hang" and job.timeout is None:
            self.hanging = True
        elif what:
            message = "no network for this one" if what == "raise" else what
            self.results.append(JobResult(job, None, reasons[what], message))
        else:
            values = job.evaluator.evaluate(job.arch, task=job.task, seed=job.seed)
            self.results.append(JobResult(job, values))

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        found, self.results = self.results, []
        return self.change(found)

    def stop(self) -> None:
        self.results, self.hanging = [], False

    def close(self) -> None:
        self.stop()


def test_a_sound_executor_passes() -> None:
    check_executor(Here(), SPACE, get_task("cifar10"))


@pytest.mark.parametrize(
    ("change", "contract"),
    [
        (lambda results: [*results, *results[:1]], "every job comes back once"),
        (
            lambda results: [replace(one, values={"accuracy@cifar10": 0.9}) if one.values else one for one in results],
            "an evaluation has the values {'accuracy@cifar10': 0.1}",
        ),
        (
            lambda results: [replace(one, reason="lost") if one.reason == "timeout" else one for one in results],
            "an evaluation that would hang has the reason 'timeout'",
        ),
        (lambda results: [replace(one, message="") for one in results], "says in words what went wrong"),
        (lambda results: [replace(one, seconds=-1.0) for one in results], "says how many seconds it took"),
    ],
)
def test_a_broken_executor_is_named(change: Any, contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_executor(Here(change), SPACE, get_task("cifar10"))
    assert contract in str(caught.value)


def small() -> Table:
    whole = load_table("nasbench201")
    return replace(whole, frame=whole.frame[["test_accuracy@cifar10"]].dropna().iloc[:30].copy())


def test_a_sound_table_passes() -> None:
    check_table(small())


def _relabelled(table: Table, **names: str) -> Table:
    return replace(table, frame=table.frame.rename(columns={"test_accuracy@cifar10": names["column"]}))


@pytest.mark.parametrize(
    ("change", "contract"),
    [
        (lambda table: replace(table, space="os:path"), "space: is a registered name"),
        (lambda table: replace(table, frame=table.frame * 100), "lies between 0 and 1 fraction"),
        (lambda table: replace(table, frame=table.frame * np.inf), "is finite or NaN"),
        (lambda table: replace(table, frame=table.frame * np.nan), "test_accuracy@cifar10 has a value"),
        (lambda table: replace(table, frame=pd.concat([table.frame] * 2)), "has one row per arch"),
        (lambda table: _relabelled(table, column="speed@cifar10"), "columns are metrics with their target"),
        (lambda table: _relabelled(table, column="accuracy"), "columns are metrics with their target"),
        (lambda table: replace(table, frame=table.frame.set_axis(table.frame.index + "x")), "keys are archs of nasb"),
        (lambda table: replace(table, missing={"accuracy@cifar10": ""}), "says how to get accuracy@cifar10"),
        (lambda table: replace(table, latency_input_shape=(32, 32)), "latency_input_shape: is"),
    ],
)
def test_a_broken_table_is_named(change: Callable[[Table], Table], contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_table(change(small()))
    assert contract in str(caught.value)


@dataclass(frozen=True)
class Drawn(ImageSource):
    """Random images of two classes; ``defect`` says what is wrong with them."""

    defect: str = ""

    def read(self, seed: int) -> Splits:
        rng = np.random.default_rng(None if self.defect == "seed" else seed)
        parts = []
        for count in (12, 4):
            images = rng.integers(0, 256, (count, 3, 8, 8)).astype(np.float32 if self.defect == "type" else np.uint8)
            labels = np.arange(count) % (1 if self.defect == "class" else 2) + (2 if self.defect == "label" else 0)
            parts.append(Split(images, labels.astype(np.int64)))
        return Splits(*parts, None)


TASK = Task("drawn", (3, 8, 8), 2, ("one", "other"), Drawn())


def test_a_sound_task_passes() -> None:
    check_task(TASK)


@pytest.mark.parametrize(
    ("task", "contract"),
    [
        (replace(TASK, name="my task"), "has neither white space"),
        (replace(TASK, input_shape=(8, 8)), "input_shape: is (channels, height, width)"),
        (replace(TASK, num_classes=1), "is at least 2"),
        (replace(TASK, class_names=("one", "one")), "one distinct name per class"),
        (replace(TASK, input_shape=(3, 9, 9)), "train: images have shape (3, 9, 9)"),
        (replace(TASK, source=Drawn("type")), "images are uint8"),
        (replace(TASK, source=Drawn("label")), "labels count the classes from 0 to 1"),
        (replace(TASK, source=Drawn("class")), "train has images of all 2 classes"),
        (replace(TASK, source=Drawn("seed")), "are the same for the same seed"),
    ],
)
def test_a_broken_task_is_named(task: Task, contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_task(task)
    assert contract in str(caught.value)


def _weight(network: nn.Module) -> torch.Tensor:
    return next(network.parameters()).detach()


def _spoiling(network: nn.Module, batch: ProxyBatch) -> float:
    _weight(network).zero_()
    return 1.0


def _training(network: nn.Module, batch: ProxyBatch) -> float:
    network.eval()
    return 1.0


def _hooking(network: nn.Module, batch: ProxyBatch) -> float:
    network.register_forward_hook(lambda module, received, output: None)
    return 1.0


@pytest.mark.parametrize(
    ("proxy", "contract"),
    [
        (lambda network, batch: 1, "is a float"),
        (lambda network, batch: float("inf"), "is finite, or nan"),
        (lambda network, batch: float("nan"), "is defined for some networks"),
        (_spoiling, "the network is left as it was"),
        (_training, "the network is left as it was"),
        (_hooking, "the network is left as it was"),
        (lambda network, batch: float(torch.rand(1)), "random numbers are left as they were"),
        (lambda network, batch: float(torch.get_rng_state().float().sum()), "is the same for the same network"),
    ],
)
def test_a_broken_proxy_is_named(proxy: Any, contract: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_proxy(proxy, SPACE, get_task("digits", image_size=8))
    assert contract in str(caught.value)


def test_a_sound_proxy_passes() -> None:
    check_proxy(lambda network, batch: float(_weight(network).sum()), SPACE, get_task("digits", image_size=8))


def test_a_space_that_cannot_be_asked_for_so_many_is_told() -> None:
    for space in (mixed(), Twins()):
        problem = Problem(space, get_task("cifar10"), Objective.parse("accuracy@cifar10"))
        check_policy(RandomSearch(problem), problem)
