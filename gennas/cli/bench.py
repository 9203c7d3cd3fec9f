"""`gennas bench search`: policies compared on a table, by the protocol of :mod:`gennas.benchmarks.protocol`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from gennas.cli.options import BenchmarkOptions, ComparisonOptions, RunOptions
from gennas.cli.output import Outcome
from gennas.errors import InvalidInputError

#: Runs of a method, at most: far beyond what a test between methods needs.
_MOST_SEEDS = 100_000


def bench_search(
    out: Path,
    benchmark: BenchmarkOptions,
    comparison: ComparisonOptions,
    runs: RunOptions,
) -> Outcome:
    """Compares search policies on a table; the same command resumes where it was interrupted.

    Args:
        out: folder for the runs (a JSON file per policy), curves.parquet, and a figure.
    """
    from gennas.benchmarks.benchmark import BenchmarkConfig
    from gennas.benchmarks.comparison import compared, losses
    from gennas.benchmarks.figure import frame_of, panels_of, write_figure
    from gennas.benchmarks.runner import check, run_bench, version_stamp
    from gennas.files import write_parquet
    from gennas.progress import progress

    if not 1 <= runs.seeds <= _MOST_SEEDS:
        raise InvalidInputError(f"is {runs.seeds}; must be from 1 to {_MOST_SEEDS:,}.", argument="seeds")
    chosen = list(dict.fromkeys(name.strip() for name in comparison.policies.split(",") if name.strip()))
    if not chosen:
        raise InvalidInputError(
            f"is {comparison.policies!r}; expected names, e.g. random,local_search.", argument="policies"
        )
    given = _options(comparison.options, chosen)
    settings = [
        BenchmarkConfig(
            benchmark.table,
            benchmark.task,
            policy,
            given.get(policy, {}),
            benchmark.objective,
            benchmark.hardware,
            tuple(benchmark.where),
            runs.budget,
            runs.batch,
            space=benchmark.space,
            within_table=benchmark.within_table,
        )
        for policy in chosen
    ]
    for setting in settings:
        check(setting)
    documents = []
    for setting in settings:
        with progress(setting.method, runs.seeds) as report:
            documents.append(
                run_bench(
                    setting,
                    range(runs.seed, runs.seed + runs.seeds),
                    out / setting.benchmark / f"{setting.method}.json",
                    processes=runs.processes,
                    report=report,
                )
            )
    name = documents[0]["benchmark"]
    curves, figure = out / name / "curves.parquet", out / name / "figure.html"
    stamp = {key: str(value) for key, value in version_stamp().items()}
    write_parquet(frame_of(documents), curves, {**stamp, "benchmark": name})
    write_figure(panels_of(documents), name, figure)
    notes = list(documents[0]["table"]["notes"])
    if runs.seeds < 30:
        notes.append(f"{runs.seeds} seeds are too few to compare policies; use at least 30.")
    summaries = {document["setting"]["method"]: document["summary"] for document in documents}
    compared_pairs = compared(
        losses({document["setting"]["method"]: document["runs"] for document in documents}, runs.budget)
    )
    comparisons = [{**asdict(one), "is_better": one.is_better} for one in compared_pairs]
    document = {
        "benchmark": name,
        "table": documents[0]["table"],
        "summary": summaries,
        "comparisons": comparisons,
        "notes": notes,
    }
    rows = [{"method": method, **_row(summary)} for method, summary in summaries.items()]
    tables = {name: rows}
    if comparisons:
        tables["paired over seeds, by the mean over all queries"] = [_verdict(one) for one in comparisons]
    wrote = [curves, figure, *(out / name / f"{method}.json" for method in chosen)]
    return Outcome(document, tables, notes, wrote, f"python -m webbrowser {quote(str(figure))}")


def _options(given: str, methods: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in filter(None, (part.strip() for part in given.split(","))):
        method, colon, pair = text.partition(":")
        name, equals, value = pair.partition("=")
        if not (colon and equals and name) or method not in methods:
            raise InvalidInputError(
                f"has {text!r}; expected POLICY:NAME=VALUE of a policy in `policies`.", argument="options"
            )
        found.setdefault(method, {})[name] = value
    return found


def _row(summary: Mapping[str, Any]) -> dict[str, str]:
    """What matters most of one method, for people."""
    count, last = list(summary["after"].items())[-1]
    row = {}
    if "queries_until_best" in summary:
        queries = summary["queries_until_best"]
        row["queries until the best"] = f"{queries['mean']:.1f} ({queries['censored']} runs did not find it)"
    for name in ("regret", "selected_test", "relative_improvement", "hypervolume"):
        if name in last:
            summarised = last[name]
            quartiles = f"[{summarised['lower']:.4g}, {summarised['upper']:.4g}]"
            row[f"{name} after {count}"] = f"{summarised['mean']:.4g} {quartiles}"
    return row


def _verdict(comparison: Mapping[str, Any]) -> dict[str, str]:
    return {
        "method": comparison["first"],
        "is": "better than" if comparison["is_better"] else "ahead of, but undecided",
        "the other": comparison["second"],
        "median difference": f"{comparison['difference']:.3g}",
        "pairs": str(comparison["pairs"]),
        "p": f"{comparison['p']:.2g}",
        "corrected p": f"{comparison['corrected']:.2g}",
    }
