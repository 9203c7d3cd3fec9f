"""Benches of search methods: what is stored, resuming, the verb, and the page that is written from it."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gennas.benchmarks import runner
from gennas.benchmarks.benchmark import Benchmark, BenchmarkConfig
from gennas.benchmarks.figure import frame_of, panels_of
from gennas.benchmarks.runner import commit_of, run_bench, run_seed
from gennas.benchmarks.summary import summary
from gennas.cli.main import main
from gennas.errors import InvalidInputError, StudyError, UnknownNameError
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

#: A table that is shipped whole.
CORA = BenchmarkConfig("nasbench_graph", "cora", "random", budget=12, batch=5)
FRONT = BenchmarkConfig(
    "nasbench_graph", "cora", "random", objective="accuracy, -latency_ms", hardware="gpu-cora", budget=8
)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("bench") / "random.json"
    return {"out": out, **run_bench(CORA, range(3), out)}


def test_what_is_stored_is_what_the_table_says(document: dict[str, Any]) -> None:
    stored = json.loads(document["out"].read_text())
    assert stored == {name: part for name, part in document.items() if name != "out"}
    assert stored["seeds"] == [0, 1, 2]
    assert {"setting", "table", "machine", "commit", "gennas", "summary"} <= set(stored)
    frame = load_table("nasbench_graph").frame
    best = frame["accuracy@cora"].max()
    assert stored["table"]["best"] == best
    assert stored["table"]["random_test"] == pytest.approx(frame["test_accuracy@cora"].mean())
    for run in stored["runs"]:
        assert len(set(run["keys"])) == 12
        rows = frame.loc[run["keys"]]
        assert run["values"]["accuracy@cora"] == pytest.approx(rows["accuracy@cora"].tolist())
        assert run["curves"]["best"] == pytest.approx(rows["accuracy@cora"].cummax().tolist())
        assert run["curves"]["regret"][-1] == pytest.approx(best - rows["accuracy@cora"].max(), abs=1e-8)
        selected = rows["test_accuracy@cora"].iloc[int(rows["accuracy@cora"].to_numpy().argmax())]
        assert run["curves"]["selected_test"][-1] == pytest.approx(selected)
        assert run["curves"]["best_test"][-1] == pytest.approx(rows["test_accuracy@cora"].max())
        assert (np.diff(run["curves"]["cost"]) > 0).all()
        assert len(run["seconds"]) == 3
    told = stored["summary"]["after"]["12"]["regret"]
    assert told["mean"] == pytest.approx(np.mean([run["curves"]["regret"][-1] for run in stored["runs"]]), abs=1e-6)
    assert stored["summary"]["queries_until_best"]["censored"] == 3


def test_seeds_that_are_there_are_not_run_again(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "random.json"
    asked = []

    def counted(setting: BenchmarkConfig, seed: int) -> dict[str, Any]:
        asked.append(seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return run_seed(setting, seed)

    monkeypatch.setattr(runner, "run_seed", counted)
    with pytest.raises(KeyboardInterrupt):
        run_bench(CORA, range(3), out)
    assert json.loads(out.read_text())["seeds"] == [0]
    again = run_bench(CORA, range(3), out)
    assert asked == [0, 1, 1, 2]
    seconds = {"seconds": None}
    assert [run | seconds for run in again["runs"]] == [run | seconds for run in document["runs"]]


def test_another_setting_or_file_is_not_overwritten(document: dict[str, Any], tmp_path: Path) -> None:
    other = BenchmarkConfig("nasbench_graph", "cora", "random", budget=13, batch=5)
    with pytest.raises(StudyError, match="budget was 12, is now 13"):
        run_bench(other, range(3), document["out"])
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(StudyError, match="is no result of this bench"):
        run_bench(CORA, range(1), tmp_path / "notes.json")
    assert (tmp_path / "notes.json").read_text() == "[]"


def test_several_processes_come_to_the_same(document: dict[str, Any]) -> None:
    seconds = {"seconds": None}
    together = run_bench(CORA, range(2), processes=2)
    assert [run | seconds for run in together["runs"]] == [run | seconds for run in document["runs"][:2]]


def test_two_objectives_have_hypervolumes() -> None:
    told = run_bench(FRONT, range(2))
    frame = load_table("nasbench_graph").frame[["accuracy@cora", "latency_ms@gpu-cora"]]
    front = np.array(told["table"]["front"])
    # By brute force: no arch of the table dominates one of the front.
    for accuracy, slowness in front:
        better = (frame.iloc[:, 0] >= accuracy) & (-frame.iloc[:, 1] >= slowness)
        assert (frame[better] == [accuracy, -slowness]).all(axis=None)
    for run in told["runs"]:
        shares = run["curves"]["hypervolume"]
        assert 0 < shares[-1] < 1
        assert (np.diff(shares) >= 0).all()
    assert set(told["summary"]["after"]["8"]) == {"hypervolume", "cost"}


def test_bounds_count(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_table("nasbench_graph")
    part = replace(whole, frame=whole.frame.iloc[::60])
    monkeypatch.setattr("gennas.benchmarks.benchmark.load_table", lambda name, space=None: part)
    frame, space, task = part.frame, get_space("nasbench_graph"), get_task("cora")
    params = np.array([space.costs(space.parse(key), task)["params_m"] for key in frame.index])
    slow, large = float(frame["latency_ms@gpu-cora"].median()), float(np.median(params))
    bounded = BenchmarkConfig(
        "nasbench_graph", "cora", "random", where=(f"latency_ms@gpu-cora <= {slow}", f"params_m <= {large}")
    )
    benchmark = Benchmark.of(bounded)
    fits = (params <= large) & (frame["latency_ms@gpu-cora"] <= slow)
    assert 0 < fits.sum() < len(frame) / 2
    assert benchmark.best == frame["accuracy@cora"][fits].max()
    assert benchmark.random_test == pytest.approx(frame["test_accuracy@cora"][fits].mean())
    assert BenchmarkConfig("a", "b", "random", where=("params_m <= 1",)).benchmark == "a-b-accuracy-params_m____1"


def test_what_cannot_be_searched() -> None:
    with pytest.raises(InvalidInputError, match="8% of its archs only"):
        Benchmark.of(BenchmarkConfig("nasbench_graph", "proteins", "random"))
    with pytest.raises(UnknownNameError, match="option of policy 'random'"):
        run_bench(BenchmarkConfig("nasbench_graph", "cora", "random", {"population": "3"}), range(1))


def test_a_run_that_ended_early_counts_to_the_end() -> None:
    curves = {"regret": [0.5, 0.2], "cost": [1.0, 2.0]}
    runs = [{"queries": None, "curves": curves, "seconds": [0.5], "failed": 1}]
    told = summary(runs, {"best": 1.0, "random_test": 0.5}, budget=4)
    assert told["after"]["4"]["regret"]["mean"] == 0.2
    assert told["failed"] == 1
    assert summary([], {}, 4) == {}


def test_the_frame_and_the_panels_show_every_run(document: dict[str, Any]) -> None:
    frame = frame_of([document])
    assert len(frame) == 3 * 12
    assert frame.groupby("seed")["query"].max().tolist() == [12, 12, 12]
    by_query, tests, by_cost = panels_of([document])
    means = frame.groupby("query")["regret"].mean().to_numpy()
    np.testing.assert_allclose(by_query.lines[0].mean, means)
    np.testing.assert_allclose(tests.lines[0].mean, frame.groupby("query")["selected_test"].mean().to_numpy())
    # Money that every run has spent.
    assert by_cost.lines[0].x.max() <= frame.groupby("seed")["cost"].max().min()
    assert by_cost.lines[0].mean[-1] >= means[-1] - 1e-12


def run_verb(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["bench", "search", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def script(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_verb_writes_runs_curves_and_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--table", "nasbench_graph", "--task", "cora", "--seeds", 2, "--budget", 10, "--out", tmp_path)
    words += ("--policies", "random,regularised_evolution", "--options", "regularised_evolution:population=4")
    code, out, err = run_verb(capsys, *words, "--format", "json")
    assert code == 0, err
    told = json.loads(out)
    assert told["benchmark"] == "nasbench_graph-cora"
    assert set(told["summary"]) == {"random", "regularised_evolution"}
    assert "use at least 30" in err
    folder = tmp_path / "nasbench_graph-cora"
    curves = pd.read_parquet(folder / "curves.parquet")
    assert len(curves) == 2 * 2 * 10
    assert set(curves["options"]) == {"", "population=4"}
    figure = (folder / "figure.html").read_text()
    assert "regularised_evolution" in figure
    assert figure.count("<html") == 1
    code, out, err = run_verb(capsys, *words)
    assert code == 0, err
    assert "regret after 10" in out

    script("write_benchmarks").main(tmp_path, tmp_path / "benchmarks.md")
    page = (tmp_path / "benchmarks.md").read_text()
    assert "## nasbench_graph-cora" in page
    mean = told["summary"]["random"]["after"]["10"]["regret"]["mean"]
    seconds = r"\d+\.\d{3}"
    row = rf"\| random \| 2 \| 5 \| {seconds} \| 10\.0, median 10 \[10, 10\] \(2 not found\) \| {100 * mean:.3f} \["
    assert re.search(row, page)
    assert "| regularised_evolution (population=4) |" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--policies", "random,randm"), "Did you mean 'random'"),
        (
            ("--policies", "random,bananas", "--options", "bananas:first=x"),
            "option first='x' of policy 'bananas'",
        ),
        (("--policies", ","), "expected names, e.g. random,local_search"),
        (("--options", "gp:first=3"), "POLICY:NAME=VALUE of a policy in --policies"),
        (("--seeds", "0"), "--seeds is 0"),
    ],
)
def test_the_verb_says_what_is_wrong(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_verb(capsys, "--table", "nasbench_graph", "--task", "cora", "--out", tmp_path, *words)
    assert code == 2
    assert out == ""
    assert message in err
    assert not list(tmp_path.iterdir()), "nothing was run"


def test_ranks_leave_out_what_not_every_method_was_run_on() -> None:
    def told(benchmark: str, method: str, regret: float) -> dict[str, Any]:
        after = {"100": {"regret": {"mean": regret}}}
        return {"benchmark": benchmark, "setting": {"method": method, "options": {}}, "summary": {"after": after}}

    both = [told("one", "a", 0.1), told("one", "b", 0.2), told("two", "a", 0.4), told("two", "b", 0.3)]
    ranks = script("write_benchmarks").ranking("a table", [*both, told("three", "a", 0.0)])
    assert "over 2 benchmarks; not run by every method, and left out: three." in ranks
    assert "| a | 1.50 |" in ranks
    assert "| b | 1.50 |" in ranks


def test_only_fractions_are_written_in_per_cent() -> None:
    page, regret = script("write_benchmarks"), {"mean": 0.0123, "lower": 0.01, "upper": 0.02}
    found = [page.is_fraction([{"table": {"metrics": [name]}}]) for name in ("accuracy@jigsaw", "mse@room_layout")]
    assert found == [True, False]
    assert page.cell("regret", regret, True) == "1.230 [1.000, 2.000]"
    assert page.cell("regret", regret, False) == "0.01230 [0.01000, 0.02000]"
    assert [page.value_text(0.5, fraction) for fraction in found] == ["50.00 %", "0.5000"]


def test_a_prior_is_an_option_of_what_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """``others`` is the word that published benchmarks have."""
    fitted = []

    def resolved(word: str, problem: Problem, *, table: object = None, seed: int = 0) -> None:
        fitted.append((word, getattr(table, "name", None), seed))

    monkeypatch.setattr(runner, "resolve_prior", resolved)
    for word in ("none", "known", "others"):
        config = BenchmarkConfig("nasbench_graph", "cora", "gennas", {"prior": word}, budget=5)
        assert len(run_seed(config, 3)["keys"]) == 5
    assert fitted == [("known", "nasbench_graph", 3), ("others", "nasbench_graph", 3)]
    with pytest.raises(UnknownNameError, match=r"option of policy 'random', .*prior"):
        run_bench(BenchmarkConfig("nasbench_graph", "cora", "random", {"prior": "known"}), range(1))


def test_another_word_for_a_prior_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="prior is 'some'; must be 'known' or 'none'"):
        run_bench(BenchmarkConfig("nasbench_graph", "cora", "gennas", {"prior": "some"}), range(1))


def _committed(folder: Path, name: str) -> str:
    """A repository whose ``pyproject.toml`` has this name, with one commit; its short hash."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "pyproject.toml"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    return subprocess.run(
        [*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_is_that_of_gennas_own_checkout_only(tmp_path: Path) -> None:
    own = _committed(tmp_path / "own", "gennas")
    (tmp_path / "own" / "gennas").mkdir()
    assert commit_of(tmp_path / "own" / "gennas") == own
    # In a virtual environment of another project that is under git.
    _committed(tmp_path / "other", "other")
    installed = tmp_path / "other" / ".venv" / "site-packages" / "gennas"
    installed.mkdir(parents=True)
    assert commit_of(installed) is None
    # As a copy in another project, be it with its own pyproject.toml.
    (tmp_path / "other" / "gennas").mkdir()
    assert commit_of(tmp_path / "other" / "gennas") is None
    copied = tmp_path / "other" / "vendored"
    (copied / "gennas").mkdir(parents=True)
    (copied / "pyproject.toml").write_text('[project]\nname = "gennas"\n')
    assert commit_of(copied / "gennas") is None
