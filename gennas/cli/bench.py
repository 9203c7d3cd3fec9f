"""`gennas bench search`: search methods compared on a table, by the protocol of :mod:`gennas.benchmarks.protocol`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gennas.cli.output import Outcome
from gennas.errors import InvalidInputError


def bench_search(
    out: Path,
    table: str = "nasbench201",
    task: str = "cifar10",
    policies: str = "random,regularised_evolution,local_search",
    options: str = "",
    objective: str = "accuracy",
    hardware: str | None = None,
    where: Sequence[str] = (),
    seeds: int = 30,
    budget: int = 150,
    batch: int = 5,
    processes: int = 1,
    seed: int = 0,
) -> Outcome:
    """Compares search methods on a table; repeating the command goes on where it was stopped.

    Args:
        out: folder for the runs (a JSON file per method), curves.parquet, and a figure.
        table: a name of `gennas list tables`; on nasbench101 the objective is its single-repeat test accuracy.
        task: one that the table knows.
        policies: gennas, random, regularised_evolution, local_search, area, bananas, nsga2, gp, generator.
        options: of single policies, as POLICY:NAME=VALUE,..., e.g. "regularised_evolution:population=10".
        objective: one metric or several, e.g. "accuracy, -latency_ms".
        hardware: whose latencies count.
        seeds: runs of every method; fewer than 30 are for trying out.
        budget: queries of a run.
        batch: archs per iteration.
        processes: runs at once.
        seed: of the first run; the others follow.
    """
    from gennas.benchmarks.benchmark import BenchmarkConfig
    from gennas.benchmarks.figure import frame_of, panels_of, write_figure
    from gennas.benchmarks.runner import check, run_bench, version_stamp
    from gennas.files import write_parquet
    from gennas.progress import progress

    if seeds < 1:
        raise InvalidInputError(f"--seeds is {seeds}; expected at least 1.")
    chosen = list(dict.fromkeys(name.strip() for name in policies.split(",") if name.strip()))
    if not chosen:
        raise InvalidInputError(f"--policies is {policies!r}; expected names, e.g. random,local_search.")
    given = _options(options, chosen)
    settings = [
        BenchmarkConfig(table, task, method, given.get(method, {}), objective, hardware, tuple(where), budget, batch)
        for method in chosen
    ]
    for setting in settings:
        check(setting)
    documents = []
    for setting in settings:
        with progress(setting.method, seeds) as report:
            documents.append(
                run_bench(
                    setting,
                    range(seed, seed + seeds),
                    out / setting.benchmark / f"{setting.method}.json",
                    processes=processes,
                    report=report,
                )
            )
    name = documents[0]["benchmark"]
    curves, figure = out / name / "curves.parquet", out / name / "figure.html"
    stamp = {key: str(value) for key, value in version_stamp().items()}
    write_parquet(frame_of(documents), curves, {**stamp, "benchmark": name})
    write_figure(panels_of(documents), name, figure)
    notes = list(documents[0]["table"]["notes"])
    if seeds < 30:
        notes.append(f"{seeds} seeds are too few to compare methods; take at least 30.")
    summaries = {document["setting"]["method"]: document["summary"] for document in documents}
    document = {"benchmark": name, "table": documents[0]["table"], "summary": summaries, "notes": notes}
    rows = [{"method": method, **_row(summary)} for method, summary in summaries.items()]
    wrote = [curves, figure, *(out / name / f"{method}.json" for method in chosen)]
    return Outcome(document, {name: rows}, notes, wrote, f"python -m webbrowser {figure}")


def _options(given: str, methods: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in filter(None, (part.strip() for part in given.split(","))):
        method, colon, pair = text.partition(":")
        name, equals, value = pair.partition("=")
        if not (colon and equals and name) or method not in methods:
            raise InvalidInputError(f"--options has {text!r}; expected POLICY:NAME=VALUE of a policy in --policies.")
        found.setdefault(method, {})[name] = value
    return found


def _row(summary: Mapping[str, Any]) -> dict[str, str]:
    """What matters most, for people."""
    count, last = list(summary["after"].items())[-1]
    row = {}
    if "queries_until_best" in summary:
        queries = summary["queries_until_best"]
        row["queries until the best"] = f"{queries['mean']:.1f} ({queries['censored']} runs did not find it)"
    for name in ("regret", "selected_test", "relative_improvement", "hypervolume"):
        if name in last:
            spread = last[name]
            quartiles = f"[{spread['lower']:.4g}, {spread['upper']:.4g}]"
            row[f"{name} after {count}"] = f"{spread['mean']:.4g} {quartiles}"
    return row
