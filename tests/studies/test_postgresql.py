"""Studies on a PostgreSQL server; skipped where no server can be started here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from gennas.errors import StudyError
from gennas.studies.records import Evaluation, Failure, Proposed
from gennas.studies.study import Study

psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
CONFIG = {"space": {"name": "toy"}, "seed": 0}
SECRET = "S3cr3t"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a server on loopback, with its password."""
    initdb, pg_ctl = shutil.which("initdb"), shutil.which("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("needs the programs of PostgreSQL")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="gennas-postgresql-"))
    # The server refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    data = ["-D", str(folder / "data")]

    def run(*words: str) -> None:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=folder)

    try:
        (folder / "password").write_text(SECRET)
        if user is not None:
            shutil.chown(folder, user)
            shutil.chown(folder / "password", user)
        run(initdb, *data, "-U", "gennas", "-A", "password", "--pwfile", str(folder / "password"))
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder}"
        run(pg_ctl, *data, "-l", str(folder / "log"), "-w", "-o", options, "start")
        yield f"postgresql+psycopg://127.0.0.1:{port}/postgres?user=gennas&password={SECRET}"
        run(pg_ctl, *data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def row(arch: str, value: float = 0.5) -> Evaluation:
    return Evaluation(arch=arch, space="toy", task="digits", metric="params_m", value=value, source="computed")


def test_studies_on_a_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"task": "digits", "metrics": "params_m", "reason": "lost", "message": "gone"}
    for name in ("one", "two"):
        with Study.open(tmp_path / name, CONFIG, server, name) as study:
            assert study.add([row("a"), row("b"), row("a", 0.9), Failure(arch="c", **facts)]) == 3
            assert study.add([row("b", 0.1), Proposed(number=0, batch=0, arch="a", proposed_by="random")]) == 1
            assert study.location.startswith("postgresql+psycopg://127.0.0.1:")
            assert SECRET not in study.location
            with pytest.raises(
                StudyError, match=f"another process is writing to study '{name}' in .*: process "
            ) as caught:
                Study.open(tmp_path / "third", CONFIG, server, name)
            assert SECRET not in str(caught.value)
    with Study.open(tmp_path / "third", CONFIG, server, "one") as study:
        assert [(found.arch, found.value) for found in study.find()] == [("a", 0.5), ("b", 0.5)]
    with pytest.raises(StudyError, match="seed was 0, is now 1"):
        Study.open(tmp_path / "fourth", {**CONFIG, "seed": 1}, server, "one")
    with pytest.raises(StudyError, match="give its URL as `database`") as caught:
        Study(tmp_path / "one")
    assert SECRET not in str(caught.value)
    assert len(Study(tmp_path / "one", server).frame()) == 2
    monkeypatch.setenv("GENNAS_DATABASE", server)
    assert len(Study(tmp_path / "two").frame()) == 2
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://127.0.0.1:1/runs?user=gennas&password={SECRET}"
    with pytest.raises(StudyError, match="cannot be opened") as caught:
        Study.open(tmp_path / "study", CONFIG, url)
    assert SECRET not in str(caught.value)


def test_an_old_study_on_a_server_is_upgraded(server: str, tmp_path: Path) -> None:
    url = server.replace("/postgres?", "/old?")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("create database old")
    engine.dispose()
    text = "arch varchar not null, space varchar, task varchar, metric varchar"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"create table evaluations (id serial primary key, {text}, value float, source varchar, hardware varchar, "
            "seed int, fidelity int, seconds float, recipe varchar, created varchar, machine varchar)"
        )
        connection.exec_driver_sql("create index ix_evaluations_arch on evaluations (arch)")
        connection.exec_driver_sql("create table owner (study varchar not null, id int primary key)")
        connection.exec_driver_sql("insert into owner values ('abc', 0)")
        connection.exec_driver_sql(
            "insert into evaluations values (7, 'a', 's', 't', 'm', 0.5, 'table', '', 0, 0, 1.0, '', 'c', 'm')"
        )
    engine.dispose()
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "database.yaml").write_text(f"url: {url}\nstudy: abc\n")
    assert [found.arch for found in Study(folder, url).find()] == ["a"]
    for expected in (1, 0):
        with Study.open(folder, {"seed": 0}, url) as study:
            assert study.add([row("b")]) == expected
            assert [found.arch for found in study.find()] == ["a", "b"]
            assert study.name == "abc"
    assert SECRET not in (folder / "database.yaml").read_text()
