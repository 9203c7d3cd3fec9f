"""The cache: found again only under the same conditions, shared by processes, and never in a run's way."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from gennas.evaluators.base import EvaluationSettings
from gennas.spaces import get_space
from gennas.studies.cache import Cache
from gennas.studies.records import Evaluation
from gennas.tasks import Task, get_task

SPACE, TASK = get_space("nasbench201", "channels=4,cells=1"), get_task("digits", image_size=8)
ARCH, OTHER = (SPACE.parse(f"|{op}~0|+|none~0|none~1|+|none~0|none~1|none~2|") for op in ("none", "skip_connect"))
CONDITIONS = EvaluationSettings(seed=1, fidelity=8, recipe="abc")


def row(metric: str = "accuracy@digits", value: float = 0.5, arch: str = ARCH.key, **changed: Any) -> Evaluation:
    facts = {"source": "trained", "seed": 1, "fidelity": 8, "recipe": "abc", "seconds": 2.5, **changed}
    return Evaluation(arch=arch, space=SPACE.name, task=TASK.name, metric=metric, value=value, **facts)


def look_up(cache: Cache, **changed: Any) -> list[Evaluation]:
    facts = {"space": SPACE, "task": TASK, "source": "trained", "conditions": CONDITIONS, "arch": ARCH, **changed}
    return cache.look_up(facts.pop("arch").key, **facts)


def test_rows_are_found_under_the_same_conditions_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path / 'cache.sqlite'}"
    stored = [row(), row("test_accuracy@digits", 0.4)]
    Cache(url).add(stored, space=SPACE, task=TASK)
    cache = Cache(url)
    cache.add([row(value=0.9)], space=SPACE, task=TASK)  # the first value stays
    found = look_up(cache)
    assert [(one.metric, one.value) for one in found] == [("accuracy@digits", 0.5), ("test_accuracy@digits", 0.4)]
    assert [(one.created, one.machine, one.seconds) for one in found] == [
        (one.created, one.machine, one.seconds) for one in stored
    ]
    assert caplog.messages == []
    for changed in (
        {"arch": OTHER},
        {"space": get_space("nasbench201", "channels=5,cells=1")},
        {"task": get_task("digits", image_size=9)},
        {"source": "measured"},
        {"conditions": EvaluationSettings(2, 8, "abc")},
        {"conditions": EvaluationSettings(1, 9, "abc")},
        {"conditions": EvaluationSettings(1, 8, "abd")},
    ):
        assert look_up(cache, **changed) == [], changed


@pytest.mark.parametrize("changed", [{"input_shape": (3, 64, 64)}, {"num_classes": 7}])
def test_a_task_without_images_is_told_by_its_shape_and_classes(tmp_path: Path, changed: dict[str, Any]) -> None:
    cache, mine = Cache(f"sqlite:///{tmp_path / 'cache.sqlite'}"), Task("digits", (3, 32, 32), 10)
    cache.add([row()], space=SPACE, task=mine)
    assert len(look_up(cache, task=Task("digits", (3, 32, 32), 10))) == 1
    assert look_up(cache, task=replace(mine, **changed)) == []


SCRIPT = """
import sys
from gennas.evaluators.base import EvaluationSettings
from gennas.studies.cache import Cache
from gennas.studies.records import Evaluation
from gennas.spaces import get_space
from gennas.tasks import get_task
space, task, cache = get_space("nasbench201"), get_task("cifar100"), Cache(sys.argv[1])
arch = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
for seed in range(25):
    facts = {"arch": arch.key, "space": space.name, "task": task.name, "metric": "accuracy@cifar100"}
    row = Evaluation(**facts, source="trained", value=seed / 100, seed=seed)
    cache.add([row], space=space, task=task)
    found = cache.look_up(arch.key, space=space, task=task, source="trained", conditions=EvaluationSettings(seed))
    assert [one.value for one in found] == [seed / 100], found
"""


def test_processes_share_a_cache(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, f"sqlite:///{tmp_path / 'cache.sqlite'}"]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    ((count,),) = sqlite3.connect(tmp_path / "cache.sqlite").execute("select count(*) from cached")
    assert count == 25


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/cache.sqlite", "nonsense", "marsdb://me:s3cret@host/cache"])
def test_a_cache_that_cannot_be_opened_is_one_warning(url: str, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(url)
    cache.add([row(), row("test_accuracy@digits")], space=SPACE, task=TASK)
    assert look_up(cache) == []
    cache.close()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("cache disabled: ")
    assert "s3cret" not in caplog.text


def test_a_damaged_cache_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(f"sqlite:///{tmp_path / 'cache.sqlite'}")
    cache.add([row()], space=SPACE, task=TASK)
    cache.close()
    for name in ("cache.sqlite", "cache.sqlite-wal"):
        (tmp_path / name).write_bytes(b"no database " * 1000)
    assert look_up(cache) == []
    cache.add([row()], space=SPACE, task=TASK)
    assert caplog.messages == ["cache disabled: file is not a database"]


def test_a_full_disk_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def small(connection: Any, record: Any) -> None:
        connection.execute("pragma max_page_count = 4")

    event.listen(Engine, "connect", small)
    try:
        cache = Cache(f"sqlite:///{tmp_path / 'cache.sqlite'}")
        cache.add([row(), row(arch="long " * 10_000), row("test_accuracy@digits")], space=SPACE, task=TASK)
    finally:
        event.remove(Engine, "connect", small)
    assert caplog.messages == ["cache disabled: database or disk is full"]
    fresh = Cache(f"sqlite:///{tmp_path / 'cache.sqlite'}")
    assert [one.value for one in look_up(fresh)] == [0.5]
