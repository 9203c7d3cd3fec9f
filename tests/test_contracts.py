"""Everything that is registered keeps its contract; what is added to a registry is tested here by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gennas.checkpoint import checkpoints
from gennas.executors.processes import ProcessExecutor
from gennas.metrics import Constraint, Objective
from gennas.part_files import parts_of
from gennas.predictors import load_predictor
from gennas.problem import Problem
from gennas.proxies import PROXIES
from gennas.search.mutation import random_archs
from gennas.search.policies.registry import POLICIES, make_policy
from gennas.spaces import SPACES, get_space
from gennas.tables import TABLES, load_table
from gennas.tasks import TASKS, get_task
from gennas.testing import (
    check_executor,
    check_policy,
    check_predictor,
    check_proxy,
    check_space,
    check_table,
    check_task,
)

#: Small networks, so that building a few takes a moment; a space that is not named here keeps its default.
SKELETONS = {
    "darts": "channels=4,cells=3",
    "nasnet": "channels=4,cells=3",
    "nasbench101": "channels=4,stacks=2,modules=1",
    "nasbench201": "channels=2,cells=1",
    "transnas_micro": "channels=4,cells=1",
}
#: How many archs are looked at of spaces whose networks are large, and whose notation others test as well.
ARCHS = dict.fromkeys(("lite0", "lite1", "lite2"), 200)
#: The task of a space whose networks do not see images.
OTHER_TASKS = {"nasbench_graph": "cora"}
#: So that nothing takes long; a policy that is not named here keeps its defaults.
QUICK: dict[str, dict[str, str]] = {
    "bananas": {"steps": "5", "candidates": "10", "members": "2"},
    "gennas": {"mutants": "30", "steps": "3", "sought": "100"},
    "gp": {"steps": "5", "candidates": "10"},
    "gp_hamming": {"steps": "5", "candidates": "10"},
    "smac": {"challengers": "20", "searches": "1", "tries": "2"},
}
SPACE = get_space("nasbench201", SKELETONS["nasbench201"])


@pytest.mark.parametrize("name", SPACES.list())
def test_spaces(name: str) -> None:
    task = get_task(OTHER_TASKS.get(name, "cifar10"))
    check_space(get_space(name, SKELETONS.get(name, "")), task, archs=ARCHS.get(name, 10_000))


@pytest.mark.parametrize("name", TABLES.list())
def test_tables(name: str) -> None:
    check_table(load_table(name))


@pytest.mark.parametrize("name", TASKS.list())
def test_tasks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENNAS_DATA", raising=False)  # where the images of cifar10 may lie, all 60,000
    check_task(get_task(name))


def test_a_folder_of_images(shades: Path) -> None:
    check_task(get_task(str(shades), image_size=8))


@pytest.mark.parametrize("name", PROXIES.list())
def test_proxies(name: str) -> None:
    check_proxy(PROXIES.get(name), SPACE, get_task("digits", image_size=8))


@pytest.mark.parametrize("name", [name for name, folder in checkpoints().items() if "predictor" in parts_of(folder)])
def test_shipped_predictors(name: str) -> None:
    predictor, config = load_predictor(checkpoints()[name])
    check_predictor(predictor, get_space(config["space"]))


@pytest.mark.parametrize("name", POLICIES.list())
def test_policies(name: str, tmp_path: Path) -> None:
    task, options = get_task("cifar10"), QUICK.get(name, {})
    bounds = (Constraint.parse("params_m <= 0.0025"),)
    problem = Problem(SPACE, task, Objective.parse("accuracy@cifar10, -latency_ms@cpu"), bounds)
    if name == "area":
        archs = random_archs(SPACE, 40, np.random.default_rng(3))
        scores = pd.DataFrame({"key": [arch.key for arch in archs], "naswot": np.arange(40.0)})
        scores.to_parquet(tmp_path / "scores.parquet")
        options = {"drawn": "60", "scores": str(tmp_path / "scores.parquet")}
    check_policy(make_policy(name, problem, options), problem)


def test_executor_of_processes() -> None:
    with ProcessExecutor(2) as executor:
        check_executor(executor, SPACE, get_task("cifar10"))
