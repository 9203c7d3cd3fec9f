"""The page and the figure of ``bench_guidance.py``; no number is written by hand."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from bench_guidance_search import table_of as table_of_searches

from gennas.files import write_text

#: Distinguishable without colour vision (Okabe and Ito, 2008).
COLOURS = {"gennas": "#0072B2", "evolution": "#D55E00", "climbing": "#009E73", "filtering": "#777777"}
SHOWN = (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
#: From so many calls on nothing should be above gennas; and the calls of evolution that it should need a tenth of.
FROM, REFERENCE = 1000, 20_000
WIDTH, HEIGHT, LEFT, TOP, GAP, ROW = 260, 150, 64, 64, 56, 70

HEAD = """# Guidance in large spaces{which}

Written by `scripts/bench_guidance.py`; do not edit.

The best predicted arch that keeps the bounds after so many calls of the predictor, in spaces of which nobody can look
at everything. Whatever is asked of the predictor for the first time is one call; bounds on multiply-adds are exact
and take none. `gennas` masks and refills parts of a population (`gennas/diffusion/seeker.py`), and starts from
nothing in every run; `evolution` has the settings of once-for-all (100 archs, 25 parents, half mutants with
probability 0.1 per gene, half crossovers); `climbing` changes one to three genes of the best, twenty ways at a time,
and restarts; `filtering` draws uniformly. In `mobilenet_v3` (resolution 224) and `darts` the predictor is an ensemble
of networks that was trained on half of the table's rows; in `fbnet`, of which no accuracies are known, multiply-adds
are maximised within bounds on the latency of three devices, predicted by linear models, and the exact optimum is that
of an integer program. In `lite0` the predictor is the Gaussian process of `gennas design`, on half of the 50 accuracies
of `datasets/lite/cuts.parquet`; the bounds are latencies of Lite0 at 48, 80 and 128 pixels, predicted by the model of
`gennas design` from 400 measurements of one processor. The column *judged* is the mean of the best 20 by a second
model, trained on the other half: an accuracy, or the largest share of a bound that is used (above 1 a bound is broken).
*Differ* is the mean number of decisions in which two of these 20 differ. Means over seeds, with the standard deviation
of the last.
"""

SEARCHES = """## Inside whole searches

Ways to find candidates inside the gennas search, without a prior, with the same number of acquisition values (2,000 in
an iteration), by `scripts/bench_guidance_search.py`: `mobilenet_v3` at resolution 224, batches of 5; the truth is a
model of all rows of the table, and an evaluation has a noise of 0.1 % accuracy. True accuracy of the arch with the best
evaluation, in %, mean and standard deviation over seeds."""


def write_page(page: Path, runs: Path, searches: Path | None) -> None:
    """Writes the page, and the figure into the folder ``assets`` beside the page's.

    Args:
        page: Markdown file.
        runs: JSON objects, one per line.
        searches: those of whole searches.
    """
    frame = pd.DataFrame([json.loads(line) for line in runs.read_text().splitlines()])
    figure = page.parent.parent / "assets" / f"{page.stem}.svg"
    usual = frame[frame["budget"] == frame.groupby("space")["budget"].transform("min")]
    write_text(figure, svg_of(usual))
    names = frame["space"].unique()
    head = HEAD.replace("{which}", f": {names[0]}" if len(names) == 1 else "")
    parts = [head, f"![Best predicted arch against calls of the predictor](../assets/{figure.name})"]
    for (space, budget), group in frame.groupby(["space", "budget"], sort=False):
        parts += [f"## {space}, {budget:,} calls", table_of(group), verdict(group)]
    if searches is not None:
        parts += [SEARCHES, table_of_searches(searches)]
    parts.append(f"Machine: {', '.join(frame['machine'].unique())}.")
    write_text(page, "\n\n".join(parts) + "\n")


def curves_of(group: pd.DataFrame) -> tuple[list[int], np.ndarray]:
    """Marks, and ``(seeds, marks)`` values; NaN before anything kept the bounds."""
    marks = [mark for mark in SHOWN if all(str(mark) in curve for curve in group["curve"])]
    rows = [[np.nan if curve[str(mark)] is None else curve[str(mark)] for mark in marks] for curve in group["curve"]]
    return marks, np.array(rows, dtype=float)


def table_of(group: pd.DataFrame) -> str:
    """A row per bound and method."""
    marks, _ = curves_of(group)
    head = ["bound", "method", "seeds", *(f"{mark:,}" for mark in marks), "judged", "differ", "seconds"]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for (bound, method), own in group.groupby(["bound", "method"], sort=False):
        _, values = curves_of(own)
        means = [f"{value:.2f}" for value in values.mean(0)]
        means[-1] += f" ± {values[:, -1].std(ddof=1) if len(values) > 1 else 0:.2f}"
        numbers = [f"{own['judged_20'].mean():.2f}", f"{own['differ'].mean():.1f}", f"{own['seconds'].mean():.1f}"]
        lines.append(f"| {' | '.join([str(bound), str(method), str(len(own)), *means, *numbers])} |")
        if method == group["method"].iloc[-1] and own["optimum"].notna().all():
            lines.append(f"| {bound} | exact optimum | | {own['optimum'].iloc[0]:.2f} |" + " |" * (len(head) - 4))
    return "\n".join(lines)


def verdict(group: pd.DataFrame) -> str:
    """What the table says about the two questions, by means over seeds."""
    sentences = []
    for bound, own in group.groupby("bound", sort=False):
        means = {}
        for method, runs in own.groupby("method"):
            marks, values = curves_of(runs)
            means[method] = dict(zip(marks, values.mean(0), strict=True))
        if not {"gennas", "evolution", "climbing"} <= set(means):
            continue
        mine = means.pop("gennas")
        reached = [mark for mark, value in mine.items() if value >= means["evolution"].get(REFERENCE, np.inf)]
        below = [
            f"{method} at {mark:,}"
            for method, theirs in means.items()
            for mark, value in theirs.items()
            if mark >= FROM and value > mine[mark]
        ]
        needs = f"{reached[0]:,} calls or fewer" if reached else "more calls than it had"
        behind = f"it is below {', '.join(below)}" if below else f"from {FROM:,} calls on nothing is above it"
        sentences.append(
            f"- `{bound}`: what evolution reaches with {REFERENCE:,} calls, gennas reaches with {needs}; {behind}."
        )
    return "\n".join(sentences)


def svg_of(frame: pd.DataFrame) -> str:
    """A row of panels per space, one for each bound."""
    groups = [list(own.groupby("bound", sort=False)) for _, own in frame.groupby("space", sort=False)]
    width, height = LEFT + 3 * (WIDTH + GAP), TOP + len(groups) * (HEIGHT + ROW)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" '
        'font-size="12" fill="#222">',
        "<title>Best predicted arch within bounds against calls of the predictor, mean over seeds</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="16" font-weight="bold">Best predicted arch against calls of the predictor</text>',
    ]
    for number, (method, colour) in enumerate(COLOURS.items()):
        parts.append(f'<path d="M{LEFT + 120 * number} 34h22" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{LEFT + 28 + 120 * number}" y="38">{method}</text>')
    for row, panels in enumerate(groups):
        for column, (bound, own) in enumerate(panels):
            left, top = LEFT + column * (WIDTH + GAP), TOP + row * (HEIGHT + ROW)
            parts += panel(f"{own['space'].iloc[0]}: {own['unit'].iloc[0]}, {bound}", own, left, top)
    return "\n".join([*parts, "</svg>", ""])


def panel(title: str, group: pd.DataFrame, left: int, top: int) -> list[str]:
    """One pair of axes: calls, logarithmic, and the mean best value."""
    means = {}
    for method, own in group.groupby("method"):
        marks, values = curves_of(own)
        means[str(method)] = pd.Series(values.mean(0), marks).dropna()
    low = min(float(np.quantile(series, 0.25)) for series in means.values())
    high = max(float(np.max(series)) for series in means.values())
    first, last = np.log(marks[0]), np.log(marks[-1])

    def place(mark: float, value: float) -> str:
        x = left + WIDTH * (np.log(mark) - first) / (last - first)
        y = top + HEIGHT * (1 - (max(value, low) - low) / max(high - low, 1e-9))
        return f"{x:.1f} {y:.1f}"

    parts = [f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>']
    short = title if len(title) < 46 else f"{title[:44]}…"
    parts.append(f'<text x="{left}" y="{top - 6}" font-size="11">{escape(short)}</text>')
    for mark in marks[:: max(len(marks) // 4, 1)]:
        x = place(mark, low).split()[0]
        parts.append(f'<text x="{x}" y="{top + HEIGHT + 15}" font-size="10" text-anchor="middle">{mark:,}</text>')
    for value in np.linspace(low, high, 3):
        y = place(marks[0], float(value)).split()[1]
        parts.append(f'<text x="{left - 4}" y="{y}" font-size="10" text-anchor="end">{value:.5g}</text>')
    for method, colour in COLOURS.items():
        if method in means:
            line = "L".join(
                place(mark, value)
                for mark, value in zip(means[method].index.tolist(), means[method].tolist(), strict=True)
            )
            parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts
