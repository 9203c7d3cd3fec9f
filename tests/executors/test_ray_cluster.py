"""Evaluations on a Ray cluster of several nodes, one of which is lost in the middle of a run."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.executors.base import Job
from gennas.executors.ray_cluster import RayExecutor
from gennas.metrics import Objective
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.loop import run
from gennas.spaces import get_space
from gennas.studies.study import Study
from gennas.tasks import Task, get_task
from gennas.testing import check_executor
from gennas.user_files import load_file

SPACE, TASK = get_space("nasbench201"), get_task("cifar100")


class Noting(Evaluator):
    """Writes down the node on which it starts; never ends on the doomed node."""

    source = "trained"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        node = os.environ["TEST_NODE"]
        with (self.folder / "started.txt").open("a") as file:
            file.write(f"{node} {arch.key}\n")
        if node == "doomed":
            time.sleep(1000)
        if arch.key.startswith("|none"):
            raise ValueError("no network without an edge")
        return {f"accuracy@{task.name}": 0.5}


class Uniform(Policy):
    name = "uniform"

    def propose(self, q: int, seen: History, rng: np.random.Generator) -> list[Proposal]:
        archs: dict[str, Arch] = {}
        while len(archs) < q:
            arch = SPACE.sample(rng)
            if arch.key not in seen.keys:
                archs[arch.key] = arch
        return [Proposal(arch, "random") for arch in archs.values()]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores for jobs, and two nodes with one core each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # On other machines, this module would be installed.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            for name in ("doomed", "lasting"):
                made.add_node(num_cpus=1, env_vars={"TEST_NODE": name}, object_store_memory=80 * 2**20, wait=False)
            made.wait_for_nodes()
            yield made
        finally:
            made.shutdown()


def test_a_lost_node_loses_no_evaluation(cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    problem = Problem(SPACE, TASK, Objective.parse(f"accuracy@{TASK.name}"))
    started = tmp_path / "started.txt"
    study = Study.in_memory()

    def lose_the_doomed() -> None:
        while not (started.exists() and "doomed" in started.read_text()):
            over.wait(0.1)
        (node,) = [one for one in cluster.worker_nodes if one._ray_params.env_vars["TEST_NODE"] == "doomed"]
        cluster.remove_node(node, allow_graceful=False)

    over = threading.Event()
    loser = threading.Thread(target=lose_the_doomed)
    with RayExecutor(cluster.address) as executor:
        assert executor.capacity == 2
        loser.start()
        seen = run(problem, Uniform(), (Noting(tmp_path),), study, executor, budget=8, batch=4, seed=0)
    loser.join(10)
    assert capfd.readouterr().out == ""
    lines = [line.split() for line in started.read_text().splitlines()]
    doomed = {key for node, key in lines if node == "doomed"}
    assert doomed
    keys = [arch.key for arch in seen.archs]
    assert len(set(keys)) == 8
    # Only the jobs of the lost node were started a second time.
    assert Counter(key for _, key in lines) == Counter(keys) + Counter(doomed)
    raised = {key for key in keys if key.startswith("|none")}
    assert 0 < len(raised) < 8
    assert {one.arch: one.value for one in study.find()} == dict.fromkeys(set(keys) - raised, 0.5)
    assert len(study.find()) == 8 - len(raised)
    lost, others = study.failures(reason="lost"), study.failures(reason="raised")
    assert {one.arch for one in lost} == doomed
    assert all(one.attempt == 1 and "was lost" in one.message for one in lost)
    assert {one.arch for one in others} == raised
    assert {one.message for one in others} == {"ValueError: no network without an edge"}


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'gennas\[ray\]'"):
        RayExecutor()


def test_timeouts_and_jobs_that_no_node_can_run(cluster: Any, tmp_path: Path) -> None:
    arch = next(iter(SPACE.enumerate()))
    with RayExecutor(cluster.address) as executor:
        executor.submit(Job(0, arch, Sleeping(tmp_path), TASK, timeout=0.5))
        (finished,) = executor.wait()
        assert (finished.reason, finished.message) == ("timeout", "stopped after 0.5 s")
        executor.submit(Job(1, arch, Sleeping(tmp_path), TASK))
        assert executor.wait(0.1) == []
        executor.stop()
        assert executor.wait() == []
    with pytest.raises(InvalidInputError, match=r"no node of the Ray cluster can run jobs of 99 cores"):
        RayExecutor(cluster.address, cores=99)


class Sleeping(Noting):
    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        time.sleep(1000)
        return {}


def test_a_users_file_is_sent_along(cluster: Any, tmp_path: Path) -> None:
    path = tmp_path / "own_evaluator.py"
    path.write_text(
        "from gennas.evaluators.base import Evaluator\n"
        "class Mine(Evaluator):\n"
        "    source = 'measured'\n"
        "    def metrics(self, task):\n"
        "        return ('latency_ms@x',)\n"
        "    def evaluate(self, arch, *, task, seed=0, fidelity=None):\n"
        "        return {'latency_ms@x': 2.5}\n"
    )
    evaluator = load_file(path).Mine()
    path.unlink()
    with RayExecutor(cluster.address) as executor:
        executor.submit(Job(0, next(iter(SPACE.enumerate())), evaluator, TASK))
        (finished,) = executor.wait()
    assert finished.values == {"latency_ms@x": 2.5}, finished.message


def test_the_contract_of_executors(cluster: Any) -> None:
    with RayExecutor(cluster.address) as executor:
        check_executor(executor, SPACE, TASK)


@pytest.mark.parametrize("address", ["local", None])
def test_a_local_cluster_listens_on_the_loopback_interface_only(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray reads the switch when it is imported; with a real Ray all sockets are at 127.0.0.1 then."""
    switch, started = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", {}

    class Ray:
        is_initialized = staticmethod(lambda: False)
        init = staticmethod(lambda **options: started.update(options, switch=os.environ.get(switch)))
        remote = staticmethod(lambda **options: lambda function: function)
        nodes = staticmethod(lambda: [{"Alive": True, "Resources": {"CPU": 2}}])
        shutdown = staticmethod(lambda: None)

    for variable in (switch, "RAY_ADDRESS"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr("gennas.executors.ray_cluster._ray", lambda: Ray)
    RayExecutor(address).close()
    assert (started["address"], started["switch"]) == ("local", "0")
