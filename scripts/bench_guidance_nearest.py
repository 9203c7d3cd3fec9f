"""How good guided archs of ``mobilenet_v3`` at 250 million multiply-adds are, by measurements and an unseen model.

    GENNAS_DATA=... python scripts/bench_guidance_nearest.py --seeds 5

Archs are sought with a predictor of half of the table's rows. For the best ten of every run: what a model of the other
half says, and the accuracy and the distance, in decisions, of the nearest measured arch of about the same size. The top
decile is that of the table's archs of that size.
"""

from __future__ import annotations

import numpy as np
import torch
from guidance_methods import Genes, Recorder, gennas
from guidance_models import halves, settings_of
from jsonargparse import auto_cli
from machine import machine

from gennas.diffusion.guides.costs import CostModel
from gennas.graph import GraphBatch
from gennas.metrics import Metric
from gennas.tasks import get_task

#: Millions of multiply-adds; archs of about the same size differ by at most so many.
BOUND, ABOUT = 250.0, 10.0
#: Archs of a run that are looked at.
BEST = 10


def main(seeds: int = 5, calls: int = 2000) -> None:
    """Prints a row per run, and the means.

    Args:
        seeds: runs.
        calls: of the predictor, in each.
    """
    setting = next(one for one in settings_of("mobilenet_v3") if one.bound == f"macs_m <= {BOUND:g}")
    first, own, second, other = halves(setting.space, ["accuracy@imagenet"])
    template = setting.space.template
    measured = GraphBatch.from_choices(torch.cat([first.choices(), second.choices()]), template)
    accuracy = 100 * torch.cat([own, other])[:, 0]
    macs = CostModel(setting.space, get_task("imagenet"), Metric.parse("macs_m")).of_graphs(measured)
    alike = ((macs - BOUND).abs() <= ABOUT) & (macs <= BOUND)
    choices, accuracy = measured.choices()[alike], accuracy[alike]
    decile = float(accuracy.quantile(0.9))
    print(f"{len(accuracy)} measured archs of {BOUND - ABOUT:g} to {BOUND:g} M: {accuracy.min():.2f} to", end=" ")
    print(f"{accuracy.max():.2f}, top decile from {decile:.2f}; {machine()}")
    print("| seed | predicted | judged | nearest measured | its distance |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    for seed in range(seeds):
        recorder = Recorder(setting, calls)
        gennas(recorder, Genes(setting), np.random.default_rng(seed))
        best = recorder.top(BEST)
        differ = (best.choices()[:, None] != choices[None]).sum(2)
        distance, nearest = differ.min(1)
        predicted = np.mean([setting.scale(score) for score in setting.worth(best).scores[:, 0].tolist()])
        judged, measured_near = float(setting.judge(best).mean()), float(accuracy[nearest].mean())
        rows.append([float(predicted), judged, measured_near, float(distance.double().mean())])
        print(f"| {seed} | {' | '.join(f'{value:.2f}' for value in rows[-1])} |", flush=True)
    means, stds = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
    print(f"| all | {' | '.join(f'{m:.2f} ± {s:.2f}' for m, s in zip(means, stds, strict=True))} |")


if __name__ == "__main__":
    auto_cli(main, as_positional=True)
