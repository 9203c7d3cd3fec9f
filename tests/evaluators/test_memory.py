"""size_mb and peak_memory_mb as objectives, bounds and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn
from widths import Widths

from gennas.arch import Arch
from gennas.errors import InfeasibleError, InvalidInputError
from gennas.evaluators.memory import MemoryEvaluator
from gennas.export.onnx import to_onnx
from gennas.generation.pipeline import generate_archs
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.spaces import Space, get_space
from gennas.spaces.costs import all_costs
from gennas.tasks import Task, get_task
from gennas.testing import check_evaluator


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("nasbench201", "channels=4,cells=1")


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("cifar10")


@pytest.mark.parametrize("name", ["nasbench201", "fbnet"])
def test_the_size_is_that_of_the_weights_in_the_file(name: str, task: Task) -> None:
    space = get_space(name)
    # A file lacks what the output does not depend on: all of this cell is of use.
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    arch = space.parse(cell) if name == "nasbench201" else space.sample(np.random.default_rng(0))
    size = all_costs(space, arch, task)["size_mb"]
    assert size == 4 * space.costs(arch, task)["params_m"]
    document = to_onnx(space.build(arch, task), (3, 32, 32))
    weights = sum(numpy_helper.to_array(one).nbytes for one in onnx.load_from_string(document).graph.initializer)
    # Scale and shift of a batch norm have become the bias of its convolution.
    assert weights / 1e6 == pytest.approx(size, rel=0.05)


def test_the_contract_of_evaluators(space: Space, task: Task) -> None:
    check_evaluator(MemoryEvaluator(space), space, task)


def test_a_search_minimises_memory_within_a_bound_on_size(space: Space, task: Task) -> None:
    params = sorted(all_costs(space, arch, task)["size_mb"] for arch in map(space.sample, rngs(40)))
    bound = float(params[20])
    problem = Problem(space, task, "-peak_memory_mb", [f"size_mb <= {bound}"])
    result = search_archs(problem, 12, policy="random")
    frame = result.frame()
    assert len(frame) == 12
    # The bound is on a cost: nothing beyond it is even proposed.
    assert (frame.size_mb == 4 * frame.params_m).all()
    assert frame.size_mb.max() <= bound
    assert result.best[0].metrics["peak_memory_mb"] == frame.peak_memory_mb.min()


def test_a_bound_on_memory_decides_what_is_best(space: Space, task: Task) -> None:
    values = search_archs(Problem(space, task, "-peak_memory_mb"), 12, policy="random").frame().peak_memory_mb
    assert values.min() < values.max()
    bound = (values.min() + values.max()) / 2
    bounded = search_archs(Problem(space, task, "+params_m", [f"peak_memory_mb <= {bound}"]), 12, policy="random")
    assert bounded.best[0].metrics["peak_memory_mb"] <= bound


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def test_generation_keeps_a_bound_on_size(task: Task) -> None:
    space = get_space("fbnet")
    sizes = sorted(all_costs(space, space.sample(rng), task)["size_mb"] for rng in rngs(50))
    bound = round(float(sizes[5]), 2)
    found = generate_archs(Problem(space, task, "-macs_m", [f"size_mb <= {bound}"]), n=5)
    assert len(found.archs) == 5
    for arch, values in zip(found.archs, found.predicted, strict=True):
        assert values["size_mb"] == all_costs(space, arch, task)["size_mb"] <= bound
    with pytest.raises(InfeasibleError, match=r"size_mb .* is .* Loosen this bound"):
        generate_archs(Problem(space, task, "-macs_m", ["size_mb <= 0.001"]), n=5)


def test_generation_keeps_a_bound_on_memory(space: Space, task: Task) -> None:
    evaluator = MemoryEvaluator(space)
    bound = np.median([evaluator.evaluate(space.sample(rng), task=task)["peak_memory_mb"] for rng in rngs(12)])
    for objective in ("+params_m", "none"):
        found = generate_archs(Problem(space, task, objective, [f"peak_memory_mb <= {bound}"]), n=2)
        assert len(found.archs) == 2
        for arch, told in zip(found.archs, found.predicted, strict=True):
            assert told["peak_memory_mb"] == evaluator.evaluate(arch, task=task)["peak_memory_mb"] <= bound
        assert any("peak_memory_mb was computed of" in note for note in found.notes)


def test_generation_computes_the_memory_of_few_and_says_how_near_they_come(
    space: Space, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    evaluate = MemoryEvaluator.evaluate

    def counted(self: MemoryEvaluator, arch: Arch, **options: Any) -> dict[str, float]:
        computed.append(arch.key)
        return evaluate(self, arch, **options)

    monkeypatch.setattr(MemoryEvaluator, "evaluate", counted)
    with pytest.raises(
        InfeasibleError, match=r"none of the 40 archs .* keeps 'peak_memory_mb <= 0.0001': .* is 0\.0\d+ to"
    ):
        generate_archs(Problem(space, task, "none", ["peak_memory_mb <= 0.0001"]), n=1)
    # One more tells whether there are networks at all.
    assert len(computed) == 41


def test_a_space_without_networks_says_so(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Widths()
    monkeypatch.setattr(Widths, "build", unbuilt)
    refusal = "peak_memory_mb cannot be computed: a network of space 'widths' .* does not run .NotImplementedError"
    with pytest.raises(InvalidInputError, match=refusal):
        search_archs(Problem(space, task, "-peak_memory_mb"), 3, policy="random")
    with pytest.raises(InvalidInputError, match=refusal):
        generate_archs(Problem(space, task, "-macs_m", ["peak_memory_mb <= 1"]), n=3)


def unbuilt(self: Space, arch: Arch, task: Task) -> nn.Module:
    raise NotImplementedError


def test_more_channels_take_more_memory(task: Task) -> None:
    arch = get_space("nasbench201").sample(np.random.default_rng(0))
    few, many = (
        MemoryEvaluator(get_space("nasbench201", f"channels={channels},cells=1")).evaluate(arch, task=task)
        for channels in (8, 16)
    )
    ratio = many["peak_memory_mb"] / few["peak_memory_mb"]
    assert ratio == pytest.approx(2, abs=0.1)
