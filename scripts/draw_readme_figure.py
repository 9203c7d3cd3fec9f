"""docs/assets/search.svg: validation accuracy against queries, drawn from runs of `gennas bench search`.

    for task in arxiv cora; do
        gennas bench search --table nasbench_graph --task $task --policies gennas,regularised_evolution,random \
            --options gennas:prior=none --seeds 5 --budget 100 --out runs/readme
    done
    python scripts/draw_readme_figure.py --runs runs/readme

The table ships with gennas, so that anybody can repeat this. No number is written by hand.
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from jsonargparse import auto_cli

from gennas.files import write_text

#: Distinguishable without colour vision (Okabe and Ito, 2008).
COLOURS = {"gennas": "#0072B2", "regularised_evolution": "#D55E00", "random": "#777777"}
WIDTH, HEIGHT, LEFT, TOP, GAP = 300, 190, 52, 62, 72
#: The first queries say nothing about a method: all begin at random.
FIRST = 10


def main(runs: Path, out: Path = Path("docs/assets/search.svg")) -> None:
    """Draws the figure.

    Args:
        runs: the folder that `gennas bench search --out` was given.
        out: the SVG file.
    """
    folders = sorted(path.parent for path in runs.glob("*/curves.parquet"))
    if not folders:
        sys.exit(f"no curves.parquet below {runs}; run the commands at the top of this script first.")
    frames = [pd.read_parquet(folder / "curves.parquet") for folder in folders]
    panels = [
        panel(frame, best_of(folder), LEFT + number * (WIDTH + GAP))
        for number, (frame, folder) in enumerate(zip(frames, folders, strict=True))
    ]
    write_text(out, figure(panels, frames[0]))
    print(f"wrote {out}")


def best_of(folder: Path) -> float:
    """The best validation accuracy of the table."""
    document = json.loads(next(iter(sorted(folder.glob("*.json")))).read_text())
    return float(document["table"]["best"])


def figure(panels: list[str], frame: pd.DataFrame) -> str:
    """The whole file: title, legend and panels."""
    seeds, width = frame["seed"].nunique(), LEFT + len(panels) * (WIDTH + GAP) - GAP + 16
    height = TOP + HEIGHT + 44
    title = f"Best validation accuracy so far: mean of {seeds} seeds, band: quartiles, dashed: best of the table"
    legend = []
    for number, (method, colour) in enumerate(COLOURS.items()):
        x = LEFT + 190 * number
        legend.append(f'<path d="M{x} 32h22" stroke="{colour}" stroke-width="2.5"/>')
        legend.append(f'<text x="{x + 28}" y="36">{escape(method.replace("_", " "))}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'font-family="sans-serif" font-size="12" fill="#222">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
            *legend,
            *panels,
            "</svg>",
            "",
        ]
    )


def panel(frame: pd.DataFrame, best: float, left: int) -> str:
    """One pair of axes, with a mean and a band for each method."""
    benchmark, last = frame["benchmark"].iloc[0], int(frame["query"].max())
    curves = {method: percent(frame[frame["method"] == method]) for method in COLOURS}
    low = min(float(curve["lower"].loc[FIRST]) for curve in curves.values())
    span = 100 * best - low

    def x(query: float) -> str:
        return f"{left + WIDTH * (query - FIRST) / (last - FIRST):.0f}"

    def y(value: float) -> str:
        return f"{TOP + HEIGHT * (1 - (value - low) / (1.05 * span)):.1f}"

    lines = [f'<text x="{left}" y="{TOP - 8}">{escape(benchmark)}: validation accuracy, %</text>']
    step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5) if span / s <= 6)
    for tick in np.arange(np.ceil(low / step) * step, 100 * best, step):
        lines.append(f'<path d="M{left} {y(tick)}h{WIDTH}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{float(y(tick)) + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for tick in sorted({FIRST, *range(25, last + 1, 25)}):
        lines.append(f'<text x="{x(tick)}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{tick}</text>')
    lines.append(f'<text x="{left + WIDTH // 2}" y="{TOP + HEIGHT + 34}" text-anchor="middle">queries</text>')
    lines.append(f'<path d="M{left} {y(100 * best)}h{WIDTH}" stroke="#222" stroke-dasharray="4 4"/>')
    for method, curve in reversed(curves.items()):
        shown = curve.loc[FIRST::2]
        queries = shown.index.to_numpy(dtype=float)
        mean, lower, upper = (
            [f"{x(query)} {y(value)}" for query, value in zip(queries, shown[name].to_numpy(), strict=True)]
            for name in ("mean", "lower", "upper")
        )
        colour = COLOURS[method]
        lines.append(f'<path d="M{"L".join([*upper, *reversed(lower)])}z" fill="{colour}" fill-opacity=".15"/>')
        lines.append(f'<path d="M{"L".join(mean)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "\n".join(lines)


def percent(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and quartiles of the best validation accuracy over seeds, in per cent, a row per query."""
    seeds = 100 * frame.pivot(index="query", columns="seed", values="best")
    return pd.DataFrame(
        {"mean": seeds.mean(axis=1), "lower": seeds.quantile(0.25, axis=1), "upper": seeds.quantile(0.75, axis=1)}
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
