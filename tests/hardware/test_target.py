"""Names of the ways to run networks on this machine."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennas.errors import InvalidInputError
from gennas.hardware.store import check_name
from gennas.hardware.target import PRECISIONS, RUNTIMES, HardwareTarget
from gennas.metrics import Metric

PARTS = ["cpu", "cuda", "torch", "compile", "onnxruntime", "1threads", "2threads", "int8", "float32"]
OTHERS = (
    *("pixel3", "gpu", "cpu2", "cpu-laptop", "CPU", "mycpu", "cpu-"),
    *("cpu-1threads", "cpu-04threads", "cpu-99999threads", "cpu-onnxruntime", "cpu-float32", "cpu-int8-4threads"),
    *("cpu-torch-int8", "cpu-float16", "cuda-int8", "cuda-torch", "cuda-2threads"),
)
combinations = [
    (device, runtime, precision)
    for device, runtimes in RUNTIMES.items()
    for runtime in runtimes
    for precision in PRECISIONS[runtime]
]
targets = st.builds(
    lambda combination, threads: HardwareTarget(
        combination[0], combination[1], threads if combination[0] == "cpu" else 1, combination[2]
    ),
    st.sampled_from(combinations),
    st.integers(1, 9999),
)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cpu", HardwareTarget()),
        ("cpu-int8", HardwareTarget(precision="int8")),
        ("cpu-torch", HardwareTarget(runtime="torch")),
        ("cpu-compile", HardwareTarget(runtime="compile")),
        ("cpu-4threads", HardwareTarget(threads=4)),
        ("cpu-4threads-int8", HardwareTarget(threads=4, precision="int8")),
        ("cpu-torch-2threads-bfloat16", HardwareTarget("cpu", "torch", 2, "bfloat16")),
        ("cuda", HardwareTarget("cuda", "torch")),
        ("cuda-float16", HardwareTarget("cuda", "torch", precision="float16")),
        ("cuda-compile", HardwareTarget("cuda", "compile")),
    ],
)
def test_names(name: str, target: HardwareTarget) -> None:
    assert target.name == name
    assert HardwareTarget.parse(name) == target


@given(targets)
def test_every_target_is_read_from_its_name(target: HardwareTarget) -> None:
    assert HardwareTarget.parse(target.name) == target
    assert check_name(target.name) == target.name
    assert Metric.parse(f"latency_ms@{target.name}").target == target.name


@given(targets, targets)
def test_no_two_targets_share_a_name(one: HardwareTarget, other: HardwareTarget) -> None:
    assert (one.name == other.name) == (one == other)


@given(st.lists(st.sampled_from(PARTS), max_size=5))
def test_what_is_read_has_no_other_name(parts: list[str]) -> None:
    target = HardwareTarget.parse("-".join(parts))
    assert target is None or target.name == "-".join(parts)


@pytest.mark.parametrize(
    "name",
    ["", "cpu\n", " cpu", *OTHERS],
)
def test_other_names_are_not_of_this_machine(name: str) -> None:
    assert HardwareTarget.parse(name) is None


@pytest.mark.parametrize(
    ("arguments", "argument", "message"),
    [
        (("tpu",), "device", "one of cpu, cuda"),
        (("cpu", "tensorrt"), "runtime", "one of onnxruntime"),
        (("cuda", "onnxruntime"), "runtime", "does not run on cuda"),
        (("cpu", "onnxruntime", 1, "float16"), "precision", "float32 or int8"),
        (("cpu", "torch", 1, "int8"), "precision", "float32 or bfloat16 or float16"),
        (("cpu", "onnxruntime", 0), "threads", "from 1 to 9999"),
        (("cpu", "onnxruntime", True), "threads", "from 1 to 9999"),
        (("cuda", "torch", 2), "threads", "1 on cuda"),
    ],
)
def test_what_does_not_exist_is_refused(arguments: tuple, argument: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        HardwareTarget(*arguments)
    assert caught.value.argument == argument


def test_combinations_are_those_of_the_tables() -> None:
    valid = set()
    for combination in product(("cpu", "cuda"), ("onnxruntime", "torch", "compile"), PRECISIONS["torch"] + ("int8",)):
        try:
            HardwareTarget(combination[0], combination[1], 1, combination[2])
        except InvalidInputError:
            continue
        valid.add(combination)
    assert valid == set(combinations)
