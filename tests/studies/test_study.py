"""The study: rows that are never doubled, one writer, settings that are fixed."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, event

from gennas.errors import InvalidInputError, StudyError
from gennas.studies.records import Evaluation, Failure, Proposed
from gennas.studies.study import Study

CONFIG = {"space": {"name": "nasbench201", "skeleton": {"cells": 1}}, "recipe": {"epochs": 8}, "shape": (3, 32, 32)}


def row(arch: str, metric: str = "accuracy@digits", value: float = 0.5, seed: int = 0) -> Evaluation:
    return Evaluation(
        arch=arch, space="nasbench201", task="digits", metric=metric, value=value, source="trained", seed=seed
    )


def test_rows_are_found_again_after_reopening(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([row("a"), row("b", value=0.7), row("a", metric="params_m")]) == 3
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert [found.arch for found in study.find()] == ["a", "b", "a"]
        assert [found.value for found in study.find(arch="b")] == [0.7]
        assert [found.metric for found in study.find(arch="a", metric="params_m")] == ["params_m"]
        assert study.find(source="measured") == []
        found = study.find(arch="a")[0]
        assert found.created.endswith("+00:00")
        assert found.machine
        frame = study.frame()
        assert frame[["arch", "value"]].values.tolist() == [["a", 0.5], ["b", 0.7], ["a", 0.5]]


def test_empty_frame_has_its_columns(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert {"arch", "metric", "value", "seed", "recipe"} <= set(study.frame().columns)


def test_a_row_is_never_doubled(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([row("a")]) == 1
        assert study.add([row("a", value=0.9), row("a", value=0.8, seed=1)]) == 1
        assert [found.value for found in study.find()] == [0.5, 0.8]


def test_adding_is_all_or_nothing(tmp_path: Path) -> None:
    bad = row("b")
    bad.value = None  # type: ignore[assignment]
    with Study.open(tmp_path / "study", CONFIG) as study:
        with pytest.raises(Exception, match="NOT NULL"):
            study.add([row("a"), bad])
        assert study.find() == []


def test_other_settings_are_named_with_both_values(tmp_path: Path) -> None:
    Study.open(tmp_path / "study", CONFIG).close()
    other = {**CONFIG, "recipe": {"epochs": 12, "seed": 1}}
    with pytest.raises(StudyError) as caught:
        Study.open(tmp_path / "study", other)
    message = str(caught.value)
    assert "recipe.epochs is 8 there and 12 here; recipe.seed is not set there and 1 here" in message
    assert "space" not in message.split("settings:")[1].split("Choose")[0]
    assert "Choose another --out" in message
    Study.open(tmp_path / "study", CONFIG).close()  # the lock was given back


def test_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StudyError, match=r"is no study: it holds thesis.txt; choose another --out"):
        Study.open(tmp_path, CONFIG)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(StudyError, match="is a file"):
        Study.open(tmp_path / "thesis.txt", CONFIG)


def test_process_killed_while_making_the_study_does_not_block_the_folder(tmp_path: Path) -> None:
    (tmp_path / "study.lock").touch()
    (tmp_path / ".config.yaml.abc").touch()
    Study.open(tmp_path, CONFIG).close()


def test_damaged_files(tmp_path: Path) -> None:
    Study.open(tmp_path / "study", CONFIG).close()
    (tmp_path / "study" / "study.sqlite").write_text("no database " * 100)
    with pytest.raises(StudyError, match=r"study.sqlite cannot be opened"):
        Study.open(tmp_path / "study", CONFIG)
    (tmp_path / "study" / "config.yaml").write_text("[")
    with pytest.raises(StudyError, match=r"config.yaml is damaged"):
        Study.open(tmp_path / "study", CONFIG)


def test_reading_needs_no_lock_and_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is no study"):
        Study(tmp_path)
    with Study.open(tmp_path / "study", CONFIG) as writer:
        writer.add([row("a")])
        reader = Study(tmp_path / "study")
        assert len(reader.find()) == 1
        with pytest.raises(StudyError, match="opened for reading"):
            reader.add([row("b")])


def test_one_writer_among_processes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gennas.studies.study import Study\n"
        "with Study.open(Path(sys.argv[1]), {'a': 1}): print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "study")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(StudyError, match="another process is writing to"):
            Study.open(tmp_path / "study", {"a": 1})
        writer.kill()
    with Study.open(tmp_path / "study", {"a": 1}), pytest.raises(StudyError, match="another process"):
        Study.open(tmp_path / "study", {"a": 1})
    columns = sqlite3.connect(tmp_path / "study" / "study.sqlite").execute("pragma table_info(evaluations)")
    assert {"arch", "hardware", "fidelity"} <= {name for _, name, *_ in columns}


def failure(arch: str, attempt: int = 1) -> Failure:
    return Failure(arch=arch, task="digits", metrics="accuracy@digits", reason="lost", message="gone", attempt=attempt)


def proposals(first: int, *archs: str) -> list[Proposed]:
    return [Proposed(number=first + i, batch=first, arch=arch, proposed_by="random") for i, arch in enumerate(archs)]


def test_rows_of_all_kinds_are_added_together_and_never_doubled(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([failure("a"), *proposals(0, "a", "b"), row("b"), failure("a", attempt=2)]) == 5
        assert study.add([failure("a"), *proposals(0, "c"), row("b"), row("c")]) == 1
    with Study(tmp_path / "study") as study:
        assert [(found.number, found.arch) for found in study.proposals()] == [(0, "a"), (1, "b")]
        assert [(found.arch, found.attempt) for found in study.failures(reason="lost")] == [("a", 1), ("a", 2)]
        assert study.failures(arch="b") == []
        assert [found.arch for found in study.find()] == ["b", "c"]


def test_many_rows_at_once_keep_their_order(tmp_path: Path) -> None:
    with Study.in_memory() as study:
        study.add([row("arch 7", value=0.7)])
        assert study.add([row(f"arch {number}") for number in range(1200)]) == 1199
        assert [found.arch for found in study.find()][:3] == ["arch 7", "arch 0", "arch 1"]
        assert study.find(arch="arch 7")[0].value == 0.7


def test_written_files_give_every_value_back(tmp_path: Path) -> None:
    study = Study.in_memory()
    study.add([row("a", value=0.1 + 0.2), row("b", value=1e-9)])
    for suffix in ("parquet", "csv", "json"):
        study.write(tmp_path / f"rows.{suffix}")
    assert pd.read_parquet(tmp_path / "rows.parquet").equals(study.frame())
    assert pd.read_csv(tmp_path / "rows.csv", float_precision="round_trip").value.tolist() == [0.1 + 0.2, 1e-9]
    assert [found["value"] for found in json.loads((tmp_path / "rows.json").read_text())] == [0.1 + 0.2, 1e-9]
    with pytest.raises(InvalidInputError, match=r"ends in '.xlsx'; expected .parquet, .csv or .json"):
        study.write(tmp_path / "rows.xlsx")


def test_rows_in_a_database_of_ones_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    for _ in range(2):
        with Study.open(tmp_path / "study", CONFIG, url) as study:
            study.add([row("a")])
    assert [found.arch for found in Study(tmp_path / "study").find()] == ["a"]
    assert not (tmp_path / "study" / "study.sqlite").exists()
    with pytest.raises(StudyError, match=r"elsewhere.sqlite holds another study than .*other"):
        Study.open(tmp_path / "other", CONFIG, url)
    with pytest.raises(StudyError, match=r"keeps its rows in .*elsewhere.sqlite, not in .*third.sqlite"):
        Study.open(tmp_path / "study", CONFIG, f"sqlite:///{tmp_path / 'third.sqlite'}")
    Study.open(tmp_path / "own", CONFIG).close()
    with pytest.raises(StudyError, match="keeps its rows in the folder"):
        Study.open(tmp_path / "own", CONFIG, f"sqlite:///{tmp_path / 'third.sqlite'}")


@pytest.mark.parametrize("url", ["nonsense", "marsdb://me:secret@host/runs"])
def test_a_url_that_cannot_be_used(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a URL of SQLAlchemy whose driver is installed") as caught:
        Study.open(tmp_path / "study", CONFIG, url)
    assert "secret" not in str(caught.value)


def test_full_disk_is_told_and_corrupts_nothing(tmp_path: Path) -> None:
    Study.open(tmp_path / "study", CONFIG).close()

    def small(connection: Any, record: Any) -> None:
        connection.execute("pragma max_page_count = 20")

    event.listen(Engine, "connect", small)
    try:
        with Study.open(tmp_path / "study", CONFIG) as study:
            study.add([row("a")])
            with pytest.raises(StudyError, match=r"the disk is full .*make room and repeat the command, it goes on"):
                study.add([row(f"{number} {'long ' * 100}") for number in range(500)])
            assert [found.arch for found in study.find()] == ["a"]
    finally:
        event.remove(Engine, "connect", small)
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([row("b" * 100_000)]) == 1
        assert len(study.find()) == 2


def test_a_study_of_an_older_gennas_is_read_without_being_changed(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        study.add([row("a")])
    path = tmp_path / "study" / "study.sqlite"
    with sqlite3.connect(path) as connection:
        for table in ("proposals", "failures", "owner"):
            connection.execute(f"drop table {table}")
    before = path.read_bytes()
    with Study(tmp_path / "study") as study:
        assert study.proposals() == study.failures() == []
        assert [found.arch for found in study.find()] == ["a"]
    assert path.read_bytes() == before
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([failure("a")]) == 1
        assert len(study.failures()) == 1
