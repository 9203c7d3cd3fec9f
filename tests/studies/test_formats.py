"""Formats: a study of gennas 0.2 is read without being changed, and upgraded whole when it is resumed."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gennas.errors import StudyError
from gennas.studies import formats
from gennas.studies.formats import FORMAT
from gennas.studies.records import Evaluation, Prediction, SessionRecord
from gennas.studies.study import Study

GOLDEN = Path(__file__).parents[1] / "data" / "golden_0_2" / "study"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "old"))


def config(folder: Path) -> dict[str, object]:
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    return {name: value for name, value in stored.items() if name not in ("format", "study")}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def seen(study: Study) -> tuple[object, ...]:
    proposed = [(one.number, one.arch, one.proposed_by, one.acquisition_value) for one in study.proposals()]
    return study.frame().values.tolist(), proposed, len(study.failures())


def test_reading_an_old_study_changes_nothing(old: Path) -> None:
    before = contents(old)
    study = Study(old)
    rows, proposed, _ = seen(study)
    assert isinstance(rows, list)
    assert len(rows) == 75
    assert isinstance(proposed, list)
    assert proposed[0] == (0, "0112 graph gcn sage gin", "random", None)
    assert [number for number, *_ in proposed] == list(range(15))
    assert study.find(arch="0112 graph gcn sage gin", metric="accuracy@cora")[0].value == 0.7833333611488342
    assert study.location == str(old / "study.sqlite")
    assert contents(old) == before


def test_an_old_study_is_upgraded_when_it_is_resumed(old: Path) -> None:
    before = seen(Study(old))
    with Study.open(old, config(old)) as study:
        assert seen(study) == before
        assert study.add(study.find()[:3]) == 0
        name = study.name
    stored = yaml.safe_load((old / "config.yaml").read_text())
    assert list(stored)[:2] == ["format", "study"]
    assert (stored["format"], stored["study"]) == (FORMAT, name)
    assert seen(Study(old)) == before
    with Study.open(old, config(old)) as study:
        assert study.name == name
    tables = {name for (name,) in sqlite3.connect(old / "study.sqlite").execute("select name from sqlite_master")}
    assert {"format", "studies", "writers"} <= tables
    assert "owner" not in tables


def test_other_settings_than_an_old_study_has_are_refused_before_it_is_upgraded(old: Path) -> None:
    before = contents(old)
    with pytest.raises(StudyError, match="seed was 0, is now 1"):
        Study.open(old, {**config(old), "seed": 1})
    assert {name: value for name, value in contents(old).items() if name != "study.lock"} == before


def test_an_old_study_elsewhere_keeps_its_name(old: Path, tmp_path: Path) -> None:
    (old / "study.sqlite").rename(tmp_path / "all.sqlite")
    (old / "database.yaml").write_text(yaml.safe_dump({"url": f"sqlite:///{tmp_path / 'all.sqlite'}", "study": "abc"}))
    with sqlite3.connect(tmp_path / "all.sqlite") as connection:
        connection.execute("insert into owner values ('abc', 0)")
    url = f"sqlite:///{tmp_path / 'all.sqlite'}"
    before = seen(Study(old))
    # A new study makes room for itself; the old one stays what it was.
    with Study.open(tmp_path / "new", {"seed": 7}, url, "new") as study:
        assert study.find() == []
    assert seen(Study(old)) == before
    with Study.open(old, config(old), url) as study:
        assert study.name == "abc"
        assert seen(study) == before


def test_the_database_of_another_old_study_is_refused(old: Path, tmp_path: Path) -> None:
    (old / "study.sqlite").rename(tmp_path / "all.sqlite")
    (old / "database.yaml").write_text(yaml.safe_dump({"url": f"sqlite:///{tmp_path / 'all.sqlite'}", "study": "abc"}))
    with sqlite3.connect(tmp_path / "all.sqlite") as connection:
        connection.execute("insert into owner values ('xyz', 0)")
    with pytest.raises(StudyError, match="does not hold study 'abc'"):
        Study(old)
    with pytest.raises(StudyError, match="does not hold study 'abc'"):
        Study.open(old, config(old), f"sqlite:///{tmp_path / 'all.sqlite'}")


def test_a_folder_with_an_old_database_but_no_settings_is_not_a_study(old: Path) -> None:
    settings = config(old)
    (old / "config.yaml").unlink()
    with pytest.raises(StudyError, match="is not a study: it has no config"):
        Study.open(old, settings)
    assert (old / "study.sqlite").read_bytes() == (GOLDEN / "study.sqlite").read_bytes()


KILLED = """
import os, sys
from pathlib import Path
import yaml
from gennas.studies import formats
from gennas.studies.study import Study
write, at = formats._write, sys.argv[2]
def killed(connection, tables):
    write(connection, tables) if at == "after" else None
    os._exit(9)
formats._write = killed
folder = Path(sys.argv[1])
Study.open(folder, yaml.safe_load((folder / "config.yaml").read_text()))
"""


@pytest.mark.parametrize("at", ["before", "after"])
def test_an_upgrade_that_is_killed_changed_nothing(at: str, old: Path) -> None:
    before = seen(Study(old))
    died = subprocess.run([sys.executable, "-c", KILLED, str(old), at], timeout=120, check=False)
    assert died.returncode == 9
    tables = {name for (name,) in sqlite3.connect(old / "study.sqlite").execute("select name from sqlite_master")}
    assert "owner" in tables
    assert "format" not in tables
    assert seen(Study(old)) == before
    with Study.open(old, config(old)) as study:
        assert seen(study) == before


def test_an_upgrade_killed_before_the_settings_were_written(old: Path) -> None:
    settings = (old / "config.yaml").read_bytes()
    with Study.open(old, config(old)) as study:
        name = study.name
    (old / "config.yaml").write_bytes(settings)
    assert len(Study(old).find()) == 75
    with Study.open(old, config(old)) as study:
        assert study.name == name
        assert len(study.find()) == 75


def test_tables_that_a_study_before_0_2_does_not_have(old: Path) -> None:
    with sqlite3.connect(old / "study.sqlite") as connection:
        for table in ("proposals", "failures", "owner"):
            connection.execute(f"drop table {table}")
    study = Study(old)
    assert (len(study.find()), study.proposals(), study.failures()) == (75, [], [])
    with Study.open(old, config(old)) as study:
        assert study.add([Evaluation(arch="a", space="s", task="t", metric="m", value=1.0, source="table")]) == 1


def test_a_study_of_a_newer_gennas_is_one_clear_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.sqlite'}"
    Study.open(tmp_path / "study", {"seed": 0}, url).close()
    path = tmp_path / "study" / "config.yaml"
    path.write_text(path.read_text().replace(f"format: {FORMAT}", "format: 99"))
    message = rf"is of a newer gennas: its format is 99, and this version reads formats up to {FORMAT}\. Upgrade gennas"
    with pytest.raises(StudyError, match=rf"study {message}"):
        Study(tmp_path / "study")
    with pytest.raises(StudyError, match=rf"study {message}"):
        Study.open(tmp_path / "study", {"seed": 0}, url)
    with sqlite3.connect(tmp_path / "all.sqlite") as connection:
        connection.execute("update format set number = 99")
    with pytest.raises(StudyError, match=rf"all\.sqlite {message}"):
        Study.open(tmp_path / "other", {"seed": 0}, url)


def test_every_format_has_a_way_to_the_next_one() -> None:
    assert sorted(formats.SETTINGS) == sorted(formats.TABLES) == list(range(1, FORMAT))


def test_format_2_becomes_3_with_nothing_lost(tmp_path: Path) -> None:
    """Format 2 has neither predictions nor sessions."""
    with Study.open(tmp_path / "run", {"seed": 0}) as study:
        study.add([Evaluation(arch="a", space="s", task="t", metric="m", value=1.0, source="table")])
        study.add([Prediction(arch="a", metric="m", median=1.0, low=0.5, high=2.0), SessionRecord(command="gennas x")])
    with sqlite3.connect(tmp_path / "run" / "study.sqlite") as connection:
        connection.execute("drop table predictions")
        connection.execute("drop table sessions")
        connection.execute("update format set number = 2")
    config_file = tmp_path / "run" / "config.yaml"
    config_file.write_text(config_file.read_text().replace(f"format: {FORMAT}", "format: 2"))
    before = contents(tmp_path / "run")
    study = Study(tmp_path / "run")
    assert ([row.value for row in study.find()], study.predictions(), study.sessions()) == ([1.0], [], [])
    assert contents(tmp_path / "run") == before
    with Study.open(tmp_path / "run", {"seed": 0}) as study:
        study.add([Prediction(arch="b", metric="m", median=1.0, low=0.5, high=2.0)])
        assert len(study.find()) == 1
    (found,) = Study(tmp_path / "run").predictions()
    assert (found.arch, found.median, found.low, found.high) == ("b", 1.0, 0.5, 2.0)
    assert f"format: {FORMAT}" in config_file.read_text()
