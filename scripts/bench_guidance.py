"""Guidance where nobody can look at everything: the best predicted arch after so many calls of the predictor.

    GENNAS_DATA=... python scripts/bench_guidance.py runs/guidance.jsonl --spaces '[mobilenet_v3]' --seeds 30
    python scripts/bench_guidance.py runs/guidance.jsonl --write docs/benchmarks/guidance.md

Whatever is asked of the predictor for the first time is one call; bounds on multiply-adds are exact and take none. In
``mobilenet_v3`` and ``darts`` predictors of accuracy are maximised within bounds on multiply-adds; in ``fbnet``, of
which no accuracies are known, multiply-adds within bounds on predicted latencies of three devices at once. A second
model, of other rows of the table, judges what was found. Runs that the file has are not run again.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from guidance_methods import MARKS, METHODS, Genes, Recorder, Spent
from guidance_models import settings_of
from jsonargparse import auto_cli
from machine import machine


def main(
    out: Path,
    spaces: tuple[str, ...] = ("mobilenet_v3", "darts", "fbnet"),
    methods: tuple[str, ...] = tuple(METHODS),
    seeds: int = 30,
    first_seed: int = 0,
    budget: int = 20_000,
    write: Path | None = None,
    searches: Path | None = None,
) -> None:
    """Runs what is missing, or writes the page.

    Args:
        out: file of runs, a JSON object per line.
        spaces: searched.
        methods: compared.
        seeds: runs of each method under each bound.
        first_seed: of the first run.
        budget: calls of a run.
        write: page to be written, with a figure beside it; then nothing is run.
        searches: runs of `bench_guidance_search.py`, for the page.
    """
    if write is not None:
        from guidance_page import write_page

        write_page(write, out, searches)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    known = pd.DataFrame(map(json.loads, out.read_text().splitlines())) if out.exists() else pd.DataFrame()
    done = (
        set(zip(*(known[c] for c in ("space", "bound", "method", "seed", "budget")), strict=True))
        if len(known)
        else set()
    )
    for name in spaces:
        for setting in settings_of(name):
            genes = Genes(setting)
            for seed in range(first_seed, first_seed + seeds):
                for method in methods:
                    if (name, setting.bound, method, seed, budget) in done:
                        continue
                    recorder, start = Recorder(setting, budget), time.perf_counter()
                    with suppress(Spent):
                        METHODS[method](recorder, genes, np.random.default_rng(seed))
                    seconds = time.perf_counter() - start
                    curve = {mark: recorder.curve.get(mark, recorder.best) for mark in MARKS if mark <= budget}
                    best = recorder.top(20)
                    choices = best.choices()
                    differ = (choices[:, None] != choices[None]).sum(2).double()
                    row = {
                        "space": name,
                        "bound": setting.bound,
                        "unit": setting.unit,
                        "method": method,
                        "seed": seed,
                        "budget": budget,
                        "calls": len(recorder.known),
                        "seconds": round(seconds, 2),
                        "curve": {m: round(setting.scale(v), 4) if np.isfinite(v) else None for m, v in curve.items()},
                        "judged_best": round(float(setting.judge(best)[0]), 4) if len(best) else None,
                        "judged_20": round(float(setting.judge(best).mean()), 4) if len(best) else None,
                        "differ": round(float(differ.sum() / max(len(best) * (len(best) - 1), 1)), 2),
                        "optimum": setting.optimum,
                        "machine": machine(),
                    }
                    with out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    shown = {mark: setting.scale(curve[mark]) for mark in (1000, 2000, 20_000) if mark in curve}
                    print(name, setting.bound, method, seed, shown, row["judged_20"], row["seconds"], file=sys.stderr)


if __name__ == "__main__":
    auto_cli(main, as_positional=True)
