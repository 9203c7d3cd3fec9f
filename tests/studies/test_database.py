"""Databases of several studies: told apart by name, one writer each, and no password anywhere."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import yaml

from gennas.errors import InvalidInputError, StudyError
from gennas.studies.database import Database
from gennas.studies.records import Evaluation, Failure, Proposed
from gennas.studies.study import Study

CONFIG = {"space": {"name": "toy"}, "seed": 0}


def row(arch: str, value: float = 0.5) -> Evaluation:
    return Evaluation(arch=arch, space="toy", task="digits", metric="params_m", value=value, source="computed")


def proposal(number: int, arch: str) -> Proposed:
    return Proposed(number=number, batch=0, arch=arch, proposed_by="random")


def failure(arch: str) -> Failure:
    return Failure(arch=arch, task="digits", metrics="params_m", reason="lost", message="gone")


def test_studies_in_one_database_do_not_see_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.sqlite'}"
    for name, value in (("first", 0.1), ("second", 0.2)):
        with Study.open(tmp_path / name, CONFIG, url, name) as study:
            assert study.add([row("a", value), proposal(0, "a"), failure("a")]) == 3
            assert study.add([row("a", 0.9), proposal(0, "b"), failure("a")]) == 0
    for name, value in (("first", 0.1), ("second", 0.2)):
        study = Study(tmp_path / name)
        assert study.name == name
        assert [found.value for found in study.find()] == [value]
        assert [found.arch for found in study.proposals()] == ["a"]
        assert len(study.failures()) == 1
        assert len(study.frame()) == 1
        assert not (tmp_path / name / "study.sqlite").exists()
    ((count,),) = sqlite3.connect(tmp_path / "all.sqlite").execute("select count(*) from evaluations")
    assert count == 2


def test_both_may_be_written_to_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.sqlite'}"
    with Study.open(tmp_path / "one", CONFIG, url) as one, Study.open(tmp_path / "two", CONFIG, url) as two:
        assert one.name != two.name
        assert one.add([row("a")]) == two.add([row("a")]) == 1


def test_a_name_with_the_same_settings_is_resumed_and_with_others_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.sqlite'}"
    with Study.open(tmp_path / "one", CONFIG, url, "shared") as study:
        study.add([row("a")])
        with pytest.raises(StudyError, match=r"writing to study 'shared' in .*all\.sqlite"):
            Study.open(tmp_path / "two", CONFIG, url, "shared")
    with pytest.raises(StudyError, match=r"study 'shared' in .* was made with other settings: seed was 0, is now 1"):
        Study.open(tmp_path / "three", {**CONFIG, "seed": 1}, url, "shared")
    with Study.open(tmp_path / "two", CONFIG, url, "shared") as study:
        assert [found.arch for found in study.find()] == ["a"]
        with pytest.raises(StudyError, match="another process is writing to study 'shared'"):
            Study.open(tmp_path / "one", CONFIG, url)
    with Study.open(tmp_path / "one", CONFIG, url) as study:
        assert study.name == "shared"
    with pytest.raises(StudyError, match="holds study 'shared', not 'other'"):
        Study.open(tmp_path / "one", CONFIG, url, "other")


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 101, "a\n"])
def test_names_that_are_not_valid(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="study_name is"):
        Study.open(tmp_path / "study", CONFIG, name=name)
    assert not (tmp_path / "study").exists()


def test_a_folder_keeps_its_database(tmp_path: Path) -> None:
    url, other = (f"sqlite:///{tmp_path / name}" for name in ("elsewhere.sqlite", "third.sqlite"))
    for _ in range(2):
        with Study.open(tmp_path / "study", CONFIG, url) as study:
            study.add([row("a")])
            assert study.location == str(tmp_path / "elsewhere.sqlite")
    with pytest.raises(StudyError, match=r"keeps its rows in .*elsewhere.sqlite, not in .*third.sqlite"):
        Study.open(tmp_path / "study", CONFIG, other)
    with Study.open(tmp_path / "own", CONFIG) as study:
        assert study.location == str(tmp_path / "own" / "study.sqlite")
    with pytest.raises(
        StudyError, match=r"keeps its rows in .*study.sqlite, not in .*third.sqlite; leave `database` out"
    ):
        Study.open(tmp_path / "own", CONFIG, other)
    assert not (tmp_path / "third.sqlite").exists()


def test_a_relative_path_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Study.open(tmp_path / "study", CONFIG, "sqlite:///../all.sqlite") as study:
        study.add([row("a")])
    monkeypatch.chdir("/")
    assert len(Study(tmp_path / "study").find()) == 1


def test_a_study_that_the_database_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.sqlite'}"
    Study.open(tmp_path / "study", CONFIG, url, "mine").close()
    with sqlite3.connect(tmp_path / "all.sqlite") as connection:
        connection.execute("delete from studies")
    for _ in range(2):
        with pytest.raises(StudyError, match="does not hold study 'mine'"):
            Study.open(tmp_path / "study", CONFIG, url)
        with pytest.raises(StudyError, match="does not hold study 'mine'"):
            Study(tmp_path / "study")
    (tmp_path / "all.sqlite").unlink()
    with pytest.raises(StudyError, match=r"are gone: .*all\.sqlite is missing"):
        Study.open(tmp_path / "study", CONFIG, url)
    assert not (tmp_path / "all.sqlite").exists()


def test_a_process_killed_while_making_a_study_elsewhere_makes_it_the_next_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.sqlite'}"
    Study.open(tmp_path / "study", CONFIG, url).close()
    name = Study(tmp_path / "study").name
    (tmp_path / "study" / "config.yaml").unlink()
    with Study.open(tmp_path / "study", CONFIG, url) as study:
        assert study.name == name
    (tmp_path / "study" / "config.yaml").unlink()
    with Study.open(tmp_path / "study", CONFIG) as study:
        assert study.location == str(tmp_path / "study" / "study.sqlite")
    assert not (tmp_path / "study" / "database.yaml").exists()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_nothing_is_kept_in_memory(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nothing in memory outlives the process"):
        Study.open(tmp_path / "study", CONFIG, url)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("url", ["nonsense", "marsdb://me:secret@host/runs", "postgresql://me:secret@host:port/runs"])
def test_a_url_that_cannot_be_used(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a URL of SQLAlchemy whose driver is installed") as caught:
        Study.open(tmp_path / "study", CONFIG, url)
    assert "secret" not in str(caught.value)


SECRET = "S3cr3t"
WITH_PASSWORDS = [
    f"postgresql+psycopg://me:{SECRET}@host/runs",
    f"postgresql+psycopg://host/runs?user=me&password={SECRET}",
    f"postgresql://me@host/runs?sslpassword={SECRET}",
    f"mysql://me:{SECRET}@host/runs?passwd={SECRET}",
    f"mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D{SECRET}",
]


@pytest.mark.parametrize("url", WITH_PASSWORDS)
def test_passwords_are_hidden_and_do_not_count(url: str) -> None:
    database = Database(url)
    assert SECRET not in database.url + database.name + repr(database)
    assert "***" in database.url
    assert database.without_secrets(f"login with {SECRET} failed") == "login with *** failed"
    for other in (database.url, url.replace(SECRET, "other")):
        assert Database(other).is_same(database)
    assert not Database(url.replace("runs", "others").replace("DRIVER", "OTHER")).is_same(database) or "odbc" in url


def test_another_driver_is_the_same_database() -> None:
    assert Database("postgresql+psycopg2://me@host/runs").is_same(Database("postgresql://me:x@host/runs"))
    assert not Database("postgresql://me@host/runs").is_same(Database("postgresql://me@other/runs"))


@pytest.mark.parametrize("url", WITH_PASSWORDS[:3])
def test_a_reader_is_asked_for_the_url_without_its_password(url: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("format: 2\nstudy: mine\nseed: 0\n")
    (tmp_path / "database.yaml").write_text(yaml.safe_dump({"url": url, "study": "mine"}))
    with pytest.raises(StudyError, match=r"keeps its rows in .*; give its URL as `database`") as caught:
        Study(tmp_path)
    assert SECRET not in str(caught.value)
    assert "***" in str(caught.value)
    with pytest.raises(StudyError, match=r"not in sqlite|not in .*x\.sqlite") as caught:
        Study(tmp_path, f"sqlite:///{tmp_path / 'x.sqlite'}")
    assert SECRET not in str(caught.value)
    with pytest.raises(StudyError, match="give its URL as `database`"):
        Study.open(tmp_path, {"seed": 0})


def test_a_folder_does_not_decide_where_its_reader_connects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = tmp_path / "far" / "rows.sqlite"
    folder = tmp_path / "runs" / "study"
    far.parent.mkdir()
    with Study.open(folder, CONFIG, f"sqlite:///{far}") as study:
        study.add([row("a")])
    with pytest.raises(StudyError, match=r"keeps its rows in .*rows\.sqlite; give its URL .* set GENNAS_DATABASE"):
        Study(folder)
    assert len(Study(folder, f"sqlite:///{far}").find()) == 1
    monkeypatch.setenv("GENNAS_DATABASE", f"sqlite:///{far}")
    assert len(Study(folder).find()) == 1
    monkeypatch.setenv("GENNAS_DATABASE", "sqlite:///other.sqlite")
    with pytest.raises(StudyError, match="give its URL"):
        Study(folder)
    far.rename(folder / "rows.sqlite")
    (folder / "database.yaml").write_text(f"url: sqlite:///{folder / 'rows.sqlite'}\n")
    assert len(Study(folder).find()) == 1


def test_reading_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "config.yaml").write_text("space: {name: nasbench201}\n")
    (tmp_path / "study" / "database.yaml").write_text(f"url: sqlite:///{tmp_path / 'made.sqlite'}\n")
    with pytest.raises(StudyError, match="are gone"):
        Study(tmp_path / "study")
    (tmp_path / "study" / "database.yaml").unlink()
    with pytest.raises(StudyError, match="are gone"):
        Study(tmp_path / "study")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["config.yaml", "study"]
