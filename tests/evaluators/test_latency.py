"""The evaluator measures what the names of metrics say, and nothing that a table answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.selection import evaluators_of
from gennas.executors.inline import InlineExecutor
from gennas.export.onnx import to_onnx
from gennas.hardware.measure import LatencyTiming
from gennas.hardware.target import HardwareTarget
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.spaces import Space, get_space
from gennas.studies.observations import Observations
from gennas.studies.study import Study
from gennas.tables import Table
from gennas.tasks import get_task
from gennas.training.recipe import Recipe

SPEC, TASK = LatencySpec(seconds=0.05), get_task("cifar10")


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("nasbench201", "channels=4,cells=1")


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the targets of which something was timed; a network takes 1 ms, with int8 2 ms."""
    found: list[str] = []

    def time_network(network: nn.Module, shape: object, target: HardwareTarget, spec: LatencySpec) -> LatencyTiming:
        found.append(target.name)
        median = 1.0 + (target.precision == "int8") + 0.001 * len(found)
        return LatencyTiming(median, median, median, median, 20, "other programs used 1.9 of 2 cores")

    monkeypatch.setattr("gennas.evaluators.latency.time_network", time_network)
    return found


def test_onnx_computes_the_same_logits(space: Space) -> None:
    arch = space.parse("|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    torch.manual_seed(0)
    network = space.build(arch, TASK).eval()
    images = torch.randn(3, 3, 32, 32)
    session = onnxruntime.InferenceSession(to_onnx(network, (3, 32, 32), batch=3))
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    np.testing.assert_allclose(logits, network(images).detach().numpy(), atol=1e-5)


def test_constant_network_of_the_all_none_cell_is_timed(space: Space) -> None:
    arch = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    targets = [HardwareTarget(), HardwareTarget(precision="int8"), HardwareTarget(runtime="torch")]
    values = LatencyEvaluator(space, targets, SPEC).evaluate(arch, task=TASK)
    assert list(values) == ["latency_ms@cpu", "latency_ms@cpu-int8", "latency_ms@cpu-torch"]
    assert min(values.values()) > 0


def test_all_that_a_search_names_is_measured_under_its_name(space: Space, timed: list[str], tmp_path: Path) -> None:
    task = get_task("digits", image_size=8)
    problem = Problem(space, task, "-latency_ms@cpu, -latency_ms@cpu-int8", ["latency_ms@cpu-2threads <= 50"])
    with InlineExecutor() as executor:
        result = search_archs(problem, 3, policy="random", study=tmp_path / "run", workers=executor)
    assert timed == ["cpu", "cpu-int8", "cpu-2threads"] * 3
    rows = Study(tmp_path / "run").find(source="measured")
    names = {(row.metric, row.hardware) for row in rows}
    assert names == {(f"latency_ms@{name}", name) for name in ("cpu", "cpu-int8", "cpu-2threads")}
    for name in ("cpu", "cpu-int8", "cpu-2threads"):
        note = f"latency_ms@{name} was measured while this machine was busy with other programs"
        (said,) = (one for one in result.notes if one.startswith(note))
        assert said.endswith("(3 archs).")


def test_a_batch_is_another_condition(space: Space, timed: list[str], tmp_path: Path) -> None:
    assert LatencyEvaluator(space).conditions(0, None).recipe == ""
    assert LatencyEvaluator(space, spec=LatencySpec(batch=8)).conditions(0, None).recipe == "batch 8"


def table(*metrics: str) -> Table:
    space = get_space("nasbench201")
    keys = list(dict.fromkeys(space.sample(np.random.default_rng(seed)).key for seed in range(30)))
    frame = pd.DataFrame({name: np.linspace(10, 20, len(keys)) for name in metrics}, index=pd.Index(keys, name="key"))
    return Table("quick", "nasbench201", frame, {}, ())


def test_nothing_is_measured_where_a_table_answers(timed: list[str], tmp_path: Path) -> None:
    quick, space = table("latency_ms@cpu", "accuracy@cifar10"), get_space("nasbench201")
    quick.frame["accuracy@cifar10"] /= 100
    problem = quick.within(Problem(space, TASK, "accuracy, -latency_ms@cpu"))
    search_archs(problem, 5, policy="random", evaluators=Measuring(table=quick), study=tmp_path / "run")
    assert timed == []
    assert {row.source for row in Study(tmp_path / "run").find(metric="latency_ms@cpu")} == {"table"}
    with pytest.raises(Exception, match=r"latency_ms@cpu-int8"):
        evaluators_of(Problem(space, TASK, "-latency_ms@cpu-int8"), quick, Recipe(), SPEC, tmp_path)
    assert timed == []


def test_a_study_of_a_table_is_not_continued_by_measuring(timed: list[str], tmp_path: Path) -> None:
    quick, space = table("latency_ms@cpu"), get_space("nasbench201")
    problem = Problem(space, TASK, "-latency_ms@cpu")
    measuring = Measuring(table=quick)
    search_archs(quick.within(problem), 5, policy="random", evaluators=measuring, study=tmp_path / "run")
    with pytest.raises(Exception, match="was made with other settings"), InlineExecutor() as executor:
        search_archs(problem, 6, policy="random", study=tmp_path / "run", workers=executor)
    assert timed == []


def test_latencies_of_a_table_do_not_teach_a_search_that_measures(timed: list[str], tmp_path: Path) -> None:
    quick, space, task = table("latency_ms@cpu"), get_space("nasbench201"), TASK
    problem, measuring = Problem(space, task, "-latency_ms@cpu"), Measuring(table=quick)
    search_archs(quick.within(problem), 5, policy="random", evaluators=measuring, study=tmp_path / "run")
    with pytest.raises(InvalidInputError, match="holds no latency_ms@cpu"):
        search_archs(problem, 3, policy="random", evaluated=tmp_path / "run")
    assert timed == []
    more = search_archs(
        quick.within(problem), 3, policy="random", evaluators=measuring, evaluated=tmp_path / "run", seed=1
    )
    assert more.notes[0].startswith("starts from 5 evaluated archs, with latency_ms@cpu")
    assert Observations.read(tmp_path / "run", problem).values, "whoever only reads them gets them"


def test_what_this_machine_lacks_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    task = get_task("digits", image_size=8)
    for metric in ("latency_ms@cuda", "latency_ms@cuda-float16"):
        problem = Problem("nasbench201", task, f"accuracy, -{metric}")
        with pytest.raises(InvalidInputError, match=f"{metric} cannot be measured: torch finds no CUDA device here"):
            search_archs(problem, 3, policy="random", study=tmp_path / "run")
    with pytest.raises(InvalidInputError, match="measuring latency needs images"):
        evaluators_of(Problem("nasbench_graph", "cora", "-latency_ms@cpu"), None, Recipe(), SPEC, tmp_path)
    assert not (tmp_path / "run").exists()
