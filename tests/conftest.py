"""What all tests share: one thread, a home of their own, and a checkpoint that is trained in seconds."""

from __future__ import annotations

import os
import re
import shutil
import signal

# Before torch is imported: a second thread gains nothing on graphs this small, and stalls where cores are busy.
os.environ["OMP_NUM_THREADS"] = "1"
# The same seed gives the same weights on a processor only; CUDA_VISIBLE_DEVICES=0 runs the suite on a GPU all the same.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

import gennas
import gennas.cli.main as command_line
from gennas.diffusion.settings import GeneratorTraining
from gennas.diffusion.training import train_generator
from gennas.hardware import measure, store
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware
from gennas.predictors import teacher
from gennas.predictors import training as predictor_training
from gennas.predictors.settings import PredictorTraining
from gennas.registry import Registry
from gennas.spaces import get_space
from gennas.tables import Table, load_table
from gennas.tasks import get_task

# A shell starts what runs in the background with interrupts ignored, and so would be what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
settings.register_profile("gennas", deadline=None, max_examples=30)
settings.load_profile("gennas")


def _registries() -> Iterator[Registry[Any]]:
    """All that gennas has, read from its sources: one that a list had lacked would keep what tests register."""
    package = Path(gennas.__file__).parent
    for path in sorted(package.rglob("*.py")):
        for name in re.findall(r"^(\w+): Registry\[", path.read_text(encoding="utf-8"), re.MULTILINE):
            parts = path.relative_to(package.parent).with_suffix("").parts
            yield getattr(import_module(".".join(part for part in parts if part != "__init__")), name)


REGISTRIES = tuple(_registries())
#: Files that take longest, longest first: begun last, one worker would go on alone for minutes.
SLOWEST = (
    "test_docs.py",
    "test_contracts.py",
    "test_ray_cluster.py",
    "test_validation.py",
    "test_readme.py",
    "test_learning.py",
    "test_generated_commands.py",
    "test_search_cli.py",
    "test_pipeline.py",
    "test_hardware_bundle.py",
    "test_guided_bo.py",
    "test_typing.py",
    "test_targets.py",
    "test_main.py",
    "test_loop.py",
    "test_browser.py",
    "test_own_table.py",
    "test_distinct_functions.py",
    "test_ensemble.py",
    "test_simulation.py",
)
#: Enough to be better than chance, and trained in seconds.
GENERATOR = GeneratorTraining(steps=150, batch_size=128, learning_rate=4e-3, width=32, layers=2)
PREDICTOR = PredictorTraining(steps=300, batch_size=128, learning_rate=4e-3, width=24, layers=2, members=1, few=0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, as ``scripts/test.sh`` lets workers take files in this order."""
    order = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes what the user keeps in ``GENNAS_HOME``."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENNAS_HOME", str(home))
        yield home


@pytest.fixture(scope="module", autouse=True)
def _hardware_as_before(_home_of_the_session: Path) -> Iterator[None]:
    """What the tests of a file measured, this machine's latencies among it, is unknown to the next file, whichever is
    run before it."""
    yield
    shutil.rmtree(_home_of_the_session / "hardware", ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _one_parser() -> Iterator[None]:
    """One parser for all commands of a process: hundreds of tests run some, and making it takes a tenth of a second."""
    verbs, build = command_line.VERBS, command_line.build_parser
    made = cache(build)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_line, "build_parser", lambda: made() if command_line.VERBS is verbs else build())
        yield


@pytest.fixture(autouse=True)
def _registries_as_before() -> Iterator[None]:
    """What a test makes known, also by naming a file, is unknown to the next: tables are read by what is registered."""
    before = [(registry, dict(registry._entries), list(registry._typed)) for registry in REGISTRIES]
    yield
    for registry, entries, typed in before:
        registry._entries, registry._typed = entries, typed


@pytest.fixture(scope="session")
def tiny_table() -> Table:
    """Real values of 3,000 cells under the names that a predictor learns.

    Only here do test accuracies stand in for validation accuracies: these alone are shipped. Nothing outside the
    tests may choose by them.
    """
    whole = load_table("nasbench201")
    frame = whole.frame[["latency_ms@cpu"]].dropna()
    for task in ("cifar10", "cifar100", "imagenet16-120"):
        frame.insert(frame.shape[1] - 1, f"accuracy@{task}", whole.frame.loc[frame.index, f"test_accuracy@{task}"])
    return Table("tiny", "nasbench201", frame, {}, whole.latency_input_shape)


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with a generator and a predictor of nasbench201, both really trained, for a moment."""
    folder, space = tmp_path_factory.mktemp("checkpoints") / "tiny", get_space("nasbench201")
    train_generator(space, GENERATOR, seed=0, out=folder)
    with pytest.MonkeyPatch.context() as patch:
        # The twin of the held-out test would train for longer than all the rest.
        patch.setattr(predictor_training, "few_label_training", lambda training: PREDICTOR)
        predictor_training.train_predictor(
            space, tiny_table, PREDICTOR, held_out_labels=1000, curve_seeds=0, seed=0, out=folder
        )
    return folder


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that compare no latencies: while others run beside them, each would be measured three times in vain."""
    monkeypatch.setattr(measure, "ATTEMPTS", 1)


@pytest.fixture
def taught_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that ask whether a predictor of few labels is trained and used, not how good it is."""
    monkeypatch.setattr(teacher, "STEPS", 10)
    monkeypatch.setattr(teacher, "TREES", 20)
    monkeypatch.setattr(predictor_training, "DISTILLED_ARCHS", 2000)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device of the user's own for nasbench201, known by ten measurements."""
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    space, task = get_space("nasbench201"), get_task("cifar10")
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(10)]
    measured = tuple(Measurement(arch.key, 3 + space.costs(arch, task)["macs_m"] / 10) for arch in archs)
    store.add(Hardware("phone", space.name, measured, {"csv": "measurements.csv"}))
    return "phone"


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """Twenty images of two classes, dark and light."""
    folder = tmp_path / "shades"
    for label, name in enumerate(("dark", "light")):
        (folder / "train" / name).mkdir(parents=True)
        for number in range(10):
            image = Image.new("RGB", (8, 8), (180 * label + number, 180 * label, 180 * label))
            image.save(folder / "train" / name / f"{number}.png")
    return folder
