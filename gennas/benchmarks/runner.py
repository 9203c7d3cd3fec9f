"""Search methods on tables: the runs of one method over seeds, kept in one JSON file."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from gennas.benchmarks.benchmark import Benchmark, BenchmarkConfig
from gennas.benchmarks.protocol import curves, queries_until
from gennas.benchmarks.simulation import Run, simulate
from gennas.benchmarks.summary import summary
from gennas.consent import expect
from gennas.documents import read_json
from gennas.errors import StudyError, unknown
from gennas.executors.worker import end_with_interrupt, interrupts_held
from gennas.files import json_text, write_text
from gennas.machine import machine_name
from gennas.problem import Problem
from gennas.search.base import Policy
from gennas.search.policies.registry import POLICIES, make_policy, option_types
from gennas.search.prior_mean import resolve_prior, with_prior
from gennas.settings import differences
from gennas.tables import Table, is_table_file

#: Memory of a process that has a table and a method.
_PROCESS_GIGABYTES = 0.5


def _benchmark_of(setting: BenchmarkConfig) -> Benchmark:
    """The table of a setting, read once for all methods."""
    names = ("table", "task", "objective", "hardware", "where", "space", "within_table")
    path = Path(setting.table)
    changed = path.stat().st_mtime_ns if is_table_file(path) and path.exists() else 0
    return _read(tuple((name, getattr(setting, name)) for name in names), changed)


@lru_cache(maxsize=1)
def _read(settings: tuple[tuple[str, Any], ...], changed: int) -> Benchmark:
    """Once more where the user's file has changed since."""
    return Benchmark.of(BenchmarkConfig(method="", **dict(settings)))


@lru_cache(maxsize=1)
def _policy_of(
    method: str,
    problem: Problem,
    options: tuple[tuple[str, str], ...],
    prior: str = "none",
    seed: int = 0,
    table: Table | None = None,
) -> Policy:
    """One for all runs: what a policy remembers changes none of its proposals, it only makes them faster."""
    policy = make_policy(method, problem, dict(options))
    if prior == "none":
        return policy
    return with_prior(policy, resolve_prior(prior, problem, table=table, seed=seed))


def _prior_of(setting: BenchmarkConfig) -> str:
    """The word for the prior among a method's options; see :func:`gennas.search.prior_mean.resolve_prior`.

    Raises:
        UnknownNameError: a method that has none.
    """
    kind = POLICIES.get(setting.method)
    if "prior" in setting.options and not kind.accepts_prior:
        raise unknown(f"option of policy {setting.method!r},", "prior", option_types(kind))
    return setting.options.get("prior", "none")


def _other_options(setting: BenchmarkConfig) -> tuple[tuple[str, str], ...]:
    """The options that a method reads itself."""
    return tuple((name, value) for name, value in setting.options.items() if name != "prior")


def run_seed(setting: BenchmarkConfig, seed: int) -> dict[str, Any]:
    """One run: what was proposed, its values, and the curves of the protocol; None where there is nothing to tell."""
    import torch

    torch.set_num_threads(1)
    benchmark = _benchmark_of(setting)
    problem = benchmark.problem
    prior = _prior_of(setting)
    # A prior is fitted at random, too: every run fits it anew.
    policy = _policy_of(
        setting.method, problem, _other_options(setting), prior, seed if prior != "none" else 0, benchmark.table
    )
    noise = benchmark.table.noise if benchmark.table is not None else {}
    run = simulate(
        problem, policy, benchmark.values, budget=setting.budget, batch=setting.batch, seed=seed, noise=noise
    )
    document: dict[str, Any] = {
        "seed": seed,
        "keys": run.keys,
        "origins": list(run.proposed_by),
        "seconds": [round(seconds, 4) for seconds in run.seconds],
        "failed": int(run.failed.sum()),
        "values": {str(name): _plain(run.values[name]) for name in run.values},
    }
    return document | _curves(benchmark, run)


def _curves(benchmark: Benchmark, run: Run) -> dict[str, Any]:
    problem, gains = benchmark.problem, benchmark.gains_of(run.values)
    costs = np.cumsum([problem.space.costs(arch, problem.task)["macs_m"] for arch in run.archs])
    if gains.shape[1] > 1:
        return {"curves": {"hypervolume": _plain(benchmark.front.shares(gains)), "cost": _plain(costs)}}
    # Without test values the selected arch is reported by what it was selected by.
    tests = run.values[benchmark.reported].to_numpy(dtype=float) if benchmark.reported else gains[:, 0]
    found = curves(gains[:, 0], tests, np.diff(costs, prepend=0.0), benchmark.best)
    return {
        "queries": queries_until(gains[:, 0], benchmark.best),
        "curves": {name: _plain(curve) for name, curve in vars(found).items()},
    }


def _plain(values: Iterable[float]) -> list[float | None]:
    return [None if math.isnan(value) else float(f"{value:.9g}") for value in values]


def check(setting: BenchmarkConfig) -> None:
    """Finds out before any run whether the table can be searched in this way.

    Raises:
        UnknownNameError: no such method, option, table or task.
        InvalidInputError: an option that cannot be read, or a table that knows too few archs.
    """
    problem = _benchmark_of(setting).problem
    make_policy(setting.method, problem, dict(_other_options(setting)))
    resolve_prior(_prior_of(setting), problem)


def run_bench(
    setting: BenchmarkConfig,
    seeds: Iterable[int],
    out: Path | None = None,
    *,
    processes: int = 1,
    stamp: Mapping[str, Any] | None = None,
    report: Callable[[int, str], None] = lambda done, note: None,
) -> dict[str, Any]:
    """All runs of one method, and what they come to.

    Args:
        setting: what is run.
        seeds: one run each; those that ``out`` has already are not run again.
        out: JSON file, written after every run.
        processes: how many runs at once.
        stamp: what else to keep, e.g. the machine.
        report: called with how many runs are done.

    Raises:
        StudyError: ``out`` holds another setting, or is no such file.
        UnknownNameError, InvalidInputError: see :func:`check`.
    """
    check(setting)
    wanted = list(seeds)
    runs = _stored(out, setting) if out else {}
    benchmark = _benchmark_of(setting)
    document: dict[str, Any] = {}

    def keep() -> None:
        done = [runs[seed] for seed in sorted(runs)]
        facts = benchmark.facts()
        document.update(
            {
                "setting": _jsonable(setting),
                "benchmark": setting.benchmark,
                "table": facts,
                **(stamp or version_stamp()),
            }
        )
        document.update({"seeds": sorted(runs), "summary": summary(done, facts, setting.budget), "runs": done})
        if out:
            write_text(out, _written(document))

    todo = [seed for seed in wanted if seed not in runs]
    if min(processes, len(todo)) > 1:
        count = min(processes, len(todo))
        expect(f"{count} processes", gigabytes=_PROCESS_GIGABYTES * count, instead="lower `processes`")
    for run in _all(setting, todo, processes):
        runs[run["seed"]] = run
        keep()
        report(sum(seed in runs for seed in wanted), f"seed {run['seed']}")
    keep()
    return document


def _all(setting: BenchmarkConfig, seeds: list[int], processes: int) -> Iterator[dict[str, Any]]:
    if processes == 1 or len(seeds) < 2:
        yield from (run_seed(setting, seed) for seed in seeds)
        return
    # Spawned: torch does not survive a fork of a process that has used it.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_interrupt) as pool:
        try:
            with interrupts_held():
                runs = pool.map(run_seed, [setting] * len(seeds), seeds)
            yield from runs
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _jsonable(setting: BenchmarkConfig) -> dict[str, Any]:
    document = {**asdict(setting), "options": dict(setting.options), "where": list(setting.where)}
    for name in ("space", "within_table"):
        # Results of earlier versions do not know them.
        if not document[name]:
            del document[name]
    table = _benchmark_of(setting).table
    return document | ({"values": table.identity} if table is not None and table.file is not None else {})


def _stored(out: Path, setting: BenchmarkConfig) -> dict[int, dict[str, Any]]:
    if not out.exists():
        return {}
    try:
        document = read_json(out)
        stored, runs = document["setting"], {run["seed"]: run for run in document["runs"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise StudyError(f"{out} exists and is no result of this bench; choose another file.") from None
    if differing := differences(stored, _jsonable(setting)):
        raise StudyError(f"{out} holds other runs: {'; '.join(differing)}. Choose another file.")
    return runs


def _written(document: Mapping[str, Any]) -> str:
    """JSON with a line per part and per run: short enough to look at, and to compare by lines."""
    parts = [f" {json.dumps(name)}: {json_text(value, None)}" for name, value in document.items() if name != "runs"]
    runs = ",\n  ".join(json_text(run, None) for run in document["runs"])
    return "{\n" + ",\n".join([*parts, f' "runs": [\n  {runs}\n ]']) + "\n}\n"


def version_stamp() -> dict[str, Any]:
    """What the numbers were made with: versions, processor, and the commit where gennas runs from a checkout."""
    import torch

    from gennas import __version__

    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    package = Path(__file__).parents[1]
    return {"gennas": __version__, "commit": commit_of(package), "machine": f"{machine_name()}, {versions}"}


def commit_of(package: Path) -> str | None:
    """The commit of gennas' own checkout around its package; None where it is installed, be it within another's."""
    try:
        if not _is_own_checkout(package.parent) or Path(_git(package, "--show-toplevel")) != package.parent.resolve():
            return None
        return _git(package, "--short=12", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None


def _is_own_checkout(folder: Path) -> bool:
    """Whether ``pyproject.toml`` in a folder is that of gennas."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text()).get("project", {})
    except (OSError, ValueError):
        return False
    return isinstance(project, dict) and project.get("name") == "gennas"


def _git(folder: Path, *words: str) -> str:
    """The answer of ``git rev-parse`` in a folder."""
    command = ["git", "-C", str(folder), "rev-parse", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
