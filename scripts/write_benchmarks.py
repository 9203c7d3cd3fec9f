"""docs/benchmarks/search_methods.md from the runs of `scripts/bench_search.py` or `gennas bench search`.

    python scripts/write_benchmarks.py --runs runs/bench
    python scripts/write_benchmarks.py --runs runs/pairs --title "Search methods in pairs" \
        --out docs/benchmarks/search_pairs.md

Reads every JSON file below the folder; a file that is not a benchmark result is skipped, and named on stderr. No number
is written by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jsonargparse import auto_cli

from gennas.benchmarks.comparison import LEVEL, compared, losses
from gennas.benchmarks.protocol import mean_ranks
from gennas.files import write_text
from gennas.metrics import Metric

TITLE = "Search methods on tables"
HEAD = f"""# {TITLE}

Written by `scripts/write_benchmarks.py` from runs; do not edit.

The protocol follows Yang et al. 2020 (NAS evaluation is frustratingly hard) and the NAS best-practice checklist: archs
are selected by their validation value, and the test value of the selected arch is reported. The best test value of all
evaluated archs is listed separately: nobody can select that arch without looking at the test set. Regret is the
difference between the best validation value of the table and that of the selected arch. Queries are counted until the
arch with the best validation value was evaluated; a run that did not find it counts with its whole budget, and such
runs are counted in brackets. Relative improvement is over the mean test value of all archs of the table. Hypervolume is
a share of the exact front's, which is found by brute force, in the metrics' own units; the reference point is the nadir
of the exact front plus a tenth of the front's range. Numbers are means over seeds, with the quartiles in square
brackets.
"""
PAIRED = f"""\
Every two methods of a benchmark are compared seed by seed, by the mean of the regret over all queries: with several
objectives, of the missing share of the hypervolume. The tests are Wilcoxon's signed-rank tests, with Holm's correction
for all pairs of the benchmark. Better means a corrected p below {LEVEL}, and a median difference of the same sign; p
stands in brackets, before the number of seeds. Undecided does not mean equal.
"""
COLUMNS = {
    "regret": "regret, %",
    "selected_test": "test of the selected, %",
    "best_test": "(best test seen, %)",
    "relative_improvement": "relative improvement, %",
    "hypervolume": "hypervolume, share",
}
#: Fractions that are written in per cent.
FRACTIONS = ("regret", "selected_test", "best_test")
#: Values of the objective among what a table says.
VALUES = ("best", "test_of_best", "best_test", "random_test")


def main(
    runs: Path,
    out: Path = Path("docs/benchmarks/search_methods.md"),
    after: list[int] | None = None,
    title: str = TITLE,
    note: str = "",
) -> None:
    """Writes the page.

    Args:
        runs: folder with the results.
        out: the page.
        after: the numbers of queries after which values are listed, where runs are that long; 100 and the last by
            default.
        title: of the page.
        note: what a reader must know of how it was measured.
    """
    documents = read(runs)
    if not documents:
        sys.exit(f"no benchmark results below {runs}; run scripts/bench_search.py first.")
    write_text(out, page(documents, after or [100], title, note))
    print(f"wrote {out} ({len(documents)} results)")


def read(folder: Path) -> list[dict[str, Any]]:
    """All results below a folder, by benchmark and method."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            document = json.loads(path.read_text())
            document["benchmark"], document["setting"]["method"], document["summary"]["after"]
        except (ValueError, KeyError, TypeError):
            print(f"skipped {path}: not a benchmark result", file=sys.stderr)
            continue
        document["runs"] = [{name: run[name] for name in ("seed", "curves")} for run in document["runs"]]
        found.append(document)
    return sorted(found, key=lambda document: (document["benchmark"], document["setting"]["method"]))


def page(documents: Sequence[Mapping[str, Any]], after: Sequence[int], title: str = TITLE, note: str = "") -> str:
    """The whole page."""
    benchmarks = list(dict.fromkeys(document["benchmark"] for document in documents))
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for document in documents:
        kind = "hypervolume" if "front" in document["table"] else "regret"
        groups.setdefault(f"{document['setting']['table']}, by {kind}", []).append(document)
    head = [HEAD.replace(TITLE, title, 1), PAIRED, *([f"{note}\n"] if note else [])]
    parts = [*head, *(ranking(name, group) for name, group in groups.items())]
    for name in benchmarks:
        parts.append(section(name, [document for document in documents if document["benchmark"] == name], after))
    return "\n".join(parts)


def ranking(name: str, documents: Sequence[Mapping[str, Any]]) -> str:
    """Ranks averaged over the benchmarks that every method of a group was run on.

    A group is a table with one objective, or several: not every method works on every table. On each benchmark, methods
    are ranked after the largest number of queries that all of them were given; those with a prior are not ranked.
    """
    ranked = [one for one in documents if one["setting"]["options"].get("prior", "none") == "none"]
    methods = sorted({method_of(document) for document in ranked})
    scores: dict[str, dict[str, float]] = {}
    counts = set()
    for benchmark in dict.fromkeys(document["benchmark"] for document in ranked):
        results = {method_of(one): one["summary"]["after"] for one in ranked if one["benchmark"] == benchmark}
        # A method that was not run somewhere cannot be ranked there, and must not be ranked last either.
        if len(results) == len(methods):
            count = max(set.intersection(*(set(map(int, after)) for after in results.values())))
            scores[benchmark] = {method: _score(after[str(count)]) for method, after in results.items()}
            counts.add(count)
    left_out = sorted({document["benchmark"] for document in ranked} - set(scores))
    ranks = mean_ranks(pd.DataFrame(scores, index=methods))
    rows = [[str(method), f"{rank:.2f}"] for method, rank in ranks.items()] if scores else []
    note = f"Mean rank after {' or '.join(map(str, sorted(counts)))} queries over {len(scores)} benchmarks"
    note += f"; not run by every method, and left out: {', '.join(left_out)}." if left_out else "."
    return "\n".join([f"## Ranks on {name}", "", note, "", *table(["method", "mean rank"], rows), ""])


def _score(after: Mapping[str, Any]) -> float:
    """Larger is better."""
    return float(after["hypervolume"]["mean"] if "hypervolume" in after else -after["regret"]["mean"])


def section(name: str, documents: Sequence[Mapping[str, Any]], after: Sequence[int]) -> str:
    """One benchmark."""
    lines = [f"## {name}", ""]
    facts = documents[0]["table"]
    lines += [f"Objective: {', '.join(facts['metrics'])}; {facts['archs']:,} archs."]
    if "best" in facts:
        fraction = is_fraction(documents)
        told = {name: value_text(facts[name], fraction) for name in VALUES if name in facts}
        test = f"; its test {told['test_of_best']}" if "test_of_best" in told else ""
        best_test = f", the best test of all {told['best_test']}" if "best_test" in told else ""
        lines += [
            f"Best validation {told['best']}{test}{best_test}; the mean reported value of all archs is "
            f"{told['random_test']}."
        ]
    else:
        reference = ", ".join(f"{value:.4g}" for value in facts["reference"])
        lines += [f"The exact front has {len(facts['front'])} archs; reference point (larger is better): {reference}."]
    lines += [f"Note: {note}." for note in dict.fromkeys(facts["notes"])]
    counts = sorted({int(count) for document in documents for count in document["summary"]["after"]})
    last = max(document["setting"]["budget"] for document in documents)
    for count in [count for count in counts if count in (*after, last)]:
        lines += ["", f"After {count} queries:", "", *numbers(documents, count)]
    lines += ["", *pairs(documents)]
    stamps = dict.fromkeys(f"{document['machine']}; commit {document['commit']}" for document in documents)
    lines += ["", *(f"Measured on: {stamp}." for stamp in stamps), ""]
    return "\n".join(lines)


def pairs(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which method is better than which on one benchmark, after as many queries as all were given."""
    budget = min(document["setting"]["budget"] for document in documents)
    found = compared(losses({method_of(document): document["runs"] for document in documents}, budget))
    better: dict[str, list[str]] = {method_of(document): [] for document in documents}
    undecided: dict[str, list[str]] = {method: [] for method in better}
    for one in found:
        told = f"{one.corrected:.3f}" if one.corrected >= 0.001 else "< 0.001"
        if one.is_better:
            better[one.first].append(f"{one.second} ({told}; {one.pairs})")
            continue
        undecided[one.first].append(f"{one.second} ({told}; {one.pairs})")
        undecided[one.second].append(f"{one.first} ({told}; {one.pairs})")
    rows = [[method, ", ".join(better[method]), ", ".join(undecided[method])] for method in better]
    rows.sort(key=lambda row: -len(better[row[0]]))
    head = f"In pairs, over {budget} queries:"
    return [head, "", *table(["method", "better than", "undecided"], rows), ""]


def numbers(documents: Sequence[Mapping[str, Any]], count: int) -> list[str]:
    """The table of all methods after some queries."""
    known = [document for document in documents if str(count) in document["summary"]["after"]]
    names = [name for name in COLUMNS if any(name in d["summary"]["after"][str(count)] for d in known)]
    if documents[0]["table"].get("reported") is None:
        # Nothing but what archs are selected by is known of them.
        names = [name for name in names if name != "best_test"]
    ends = [document for document in known if document["setting"]["budget"] == count]
    until = any("queries_until_best" in document["summary"] for document in ends)
    head = ["method", "seeds", "batch", "s per query", *(["queries until the best"] if until else [])]
    fraction = is_fraction(documents)
    head += [COLUMNS[name] if fraction or name not in FRACTIONS else COLUMNS[name].replace(", %", "") for name in names]
    rows = []
    for document in known:
        values = document["summary"]["after"][str(count)]
        batch = document["setting"]["batch"]
        seconds = document["summary"]["overhead_s_per_batch"]["mean"] / batch
        row = [method_of(document), str(len(document["seeds"])), str(batch), f"{seconds:.3f}"]
        if until:
            row.append(queries(document["summary"]["queries_until_best"]) if document in ends else "")
        rows.append([*row, *(cell(name, values.get(name), fraction) for name in names)])
    return table(head, rows)


def queries(summary: Mapping[str, Any]) -> str:
    """Mean, median, quartiles, and how many runs did not find it."""
    quartiles = f"[{summary['lower']:.0f}, {summary['upper']:.0f}]"
    return f"{summary['mean']:.1f}, median {summary['median']:.0f} {quartiles} ({summary['censored']} not found)"


def is_fraction(documents: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the objective is a fraction, which is written in per cent; what is to be small is a negative number."""
    return Metric.parse(documents[0]["table"]["metrics"][0]).kind.unit == "fraction"


def value_text(value: float, fraction: bool) -> str:
    """A value of the objective."""
    return f"{100 * value:.2f} %" if fraction else f"{value:.4f}"


def cell(name: str, summary: Mapping[str, Any] | None, fraction: bool) -> str:
    """A mean with its quartiles."""
    if summary is None or summary["mean"] is None:
        return ""
    scale, digits = (100, 2) if name in FRACTIONS and fraction else (1, 3)
    if name in FRACTIONS and (name == "regret" or not fraction):
        digits = 3 if fraction else 5
    mean, lower, upper = (f"{scale * summary[part]:.{digits}f}" for part in ("mean", "lower", "upper"))
    return f"{mean} [{lower}, {upper}]"


def method_of(document: Mapping[str, Any]) -> str:
    """The method, with the options that were given."""
    setting = document["setting"]
    # The path of a file means nothing to a reader.
    options = ", ".join(f"{name}={'a file' if '/' in value else value}" for name, value in setting["options"].items())
    return f"{setting['method']} ({options})" if options else str(setting["method"])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
