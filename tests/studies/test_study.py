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
from sqlalchemy.exc import IntegrityError

from gennas.errors import InvalidInputError, StudyError
from gennas.studies import storage
from gennas.studies.inserting import insert_missing
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
        assert list(study.frame().columns) == [
            *("id", "arch", "space", "task", "metric", "value", "source", "hardware", "seed", "fidelity", "seconds"),
            *("recipe", "created", "machine"),
        ]


def test_a_row_is_never_doubled(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([row("a")]) == 1
        assert study.add([row("a", value=0.9), row("a", value=0.8, seed=1)]) == 1
        assert [found.value for found in study.find()] == [0.5, 0.8]


def test_a_database_without_a_way_to_skip_rows_looks_them_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "insert_new", insert_missing)
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([row("a"), row("b"), row("a", value=0.9), *proposals(0, "a")]) == 3
        assert study.add([row("b"), row("c"), *proposals(0, "c"), *proposals(1, "c")]) == 2
        assert [(found.arch, found.value) for found in study.find()] == [("a", 0.5), ("b", 0.5), ("c", 0.5)]
        assert [found.arch for found in study.proposals()] == ["a", "c"]


def test_an_arch_that_is_proposed_again_under_another_number_is_an_error(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        study.add(proposals(0, "a"))
        with pytest.raises(IntegrityError):
            study.add(proposals(1, "a"))


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
    assert "recipe.epochs was 8, is now 12; recipe.seed was not set, is now 1" in message
    assert "space" not in message.split("settings:")[1].split("Choose")[0]
    assert "Choose another folder" in message
    Study.open(tmp_path / "study", CONFIG).close()  # the lock was given back


def test_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StudyError, match=r"is not a study: it holds thesis.txt; choose another folder"):
        Study.open(tmp_path, CONFIG)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(StudyError, match="is a file"):
        Study.open(tmp_path / "thesis.txt", CONFIG)


def test_process_killed_while_making_the_study_does_not_block_the_folder(tmp_path: Path) -> None:
    (tmp_path / "study.lock").touch()
    (tmp_path / ".config.yaml.abc").touch()
    Study.open(tmp_path, CONFIG).close()


def test_a_study_whose_rows_are_gone_is_refused(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        study.add([row("a")])
    path = tmp_path / "study" / "study.sqlite"
    path.unlink()
    for _ in range(2):
        with pytest.raises(StudyError, match=r"rows of the study in .* are gone: .*study\.sqlite is missing"):
            Study.open(tmp_path / "study", CONFIG)
        with pytest.raises(StudyError, match=r"are gone"):
            Study(tmp_path / "study")
    path.touch()
    for _ in range(2):
        with pytest.raises(StudyError, match=r"study\.sqlite holds no study any more"):
            Study.open(tmp_path / "study", CONFIG)
        with pytest.raises(StudyError, match=r"holds no study any more"):
            Study(tmp_path / "study")
    assert path.read_bytes() == b""


def test_a_process_killed_before_the_settings_were_written_leaves_a_study_that_is_made_again(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", CONFIG) as study:
        study.add([row("a")])
        name = study.name
    config = tmp_path / "study" / "config.yaml"
    written = config.read_bytes()
    config.unlink()
    with pytest.raises(StudyError, match=r"study '.*' in .* was made with other settings: shape was"):
        Study.open(tmp_path / "study", {**CONFIG, "shape": [1]})
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert [found.arch for found in study.find()] == ["a"]
        assert study.name == name
    assert config.read_bytes() == written


def test_settings_that_would_hide_those_of_the_study_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="config has the keys format, study"):
        Study.open(tmp_path / "study", {**CONFIG, "study": "x", "format": 1})


SCHEMA = (
    "create table evaluations (id integer primary key, arch, space, task, hardware, metric, value, seed, fidelity, "
    "source, seconds, recipe, created, machine);"
)
ENDLESS = (
    "create view evaluations as with recursive r(id) as (select 1 union all select id + 1 from r limit 1000000000) "
    "select id, '' arch from r;"
)


@pytest.mark.parametrize(
    ("config", "database", "sql", "message"),
    [
        ("space: x\n", "study: x\n", "", r"database\.yaml is damaged"),
        ("space: x\n", "url: notaurl\n", "", r"database\.yaml is damaged"),
        ("space: x\n", "url: 5\n", "", r"database\.yaml is damaged"),
        ("[" * 5000, None, "", r"config\.yaml is damaged \(it is nested too deeply\)"),
        ("&a {b: *a}", None, "", r"config\.yaml is damaged \(it is nested too deeply\)"),
        ("format: x\n", None, "", r"config\.yaml is damaged: its format is 'x'"),
        (
            "space: x\n",
            None,
            "create table evaluations (id, arch); insert into evaluations values (1, 2)",
            "is damaged: .*table evaluations",
        ),
        ("space: x\n", None, ENDLESS, "holds no study any more"),
        (
            "space: x\n",
            None,
            "create table evaluations (id, arch);",
            "damaged: table evaluations lacks space, task,",
        ),
        (
            "space: x\n",
            None,
            f"{SCHEMA} insert into evaluations values (1, 'a', 's', 't', '', 'm', 'abc', 0, 0, 's', 1.0, '', 'c', 'm')",
            "damaged: value of a row in table evaluations is 'abc', expected float",
        ),
    ],
)
def test_damaged_studies_are_one_error(
    config: str, database: str | None, sql: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(config)
    if database is not None:
        (tmp_path / "database.yaml").write_text(database)
    if sql:
        connection = sqlite3.connect(tmp_path / "study.sqlite")
        connection.executescript(sql)
        connection.close()
    with pytest.raises(StudyError, match=message):
        Study(tmp_path).frame()


def test_damaged_files(tmp_path: Path) -> None:
    Study.open(tmp_path / "study", CONFIG).close()
    (tmp_path / "study" / "study.sqlite").write_text("no database " * 100)
    with pytest.raises(StudyError, match=r"study.sqlite cannot be opened"):
        Study.open(tmp_path / "study", CONFIG)
    (tmp_path / "study" / "config.yaml").write_text("[")
    with pytest.raises(StudyError, match=r"config.yaml is damaged"):
        Study.open(tmp_path / "study", CONFIG)


def test_reading_needs_no_lock_and_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is not a study: it has no config"):
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
    with pytest.raises(InvalidInputError, match=r"ends in '.xlsx'; expected .parquet, .csv, .json or .db"):
        study.write(tmp_path / "rows.xlsx")


def test_a_full_disk_is_an_error_that_corrupts_nothing(tmp_path: Path) -> None:
    Study.open(tmp_path / "study", CONFIG).close()

    def small(connection: Any, record: Any) -> None:
        connection.execute("pragma max_page_count = 30")

    event.listen(Engine, "connect", small)
    try:
        with Study.open(tmp_path / "study", CONFIG) as study:
            study.add([row("a")])
            with pytest.raises(StudyError, match=r"the disk is full .*make room and run the same command"):
                study.add([row(f"{number} {'long ' * 100}") for number in range(500)])
            assert [found.arch for found in study.find()] == ["a"]
    finally:
        event.remove(Engine, "connect", small)
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.add([row("b" * 100_000)]) == 1
        assert len(study.find()) == 2
