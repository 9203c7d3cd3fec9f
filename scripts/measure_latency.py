"""Measures the latency of randomly chosen cells on this machine and writes them as a Parquet table.

    python scripts/measure_latency.py

One onnxruntime thread, batch 1, CIFAR-10's input shape, by the protocol of gennas/hardware/measure.py. Every tenth
cell is measured a second time at the end, to show how repeatable the numbers are. Repeating the command goes on where
it stopped.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import cpu_model
from scipy.stats import spearmanr

from gennas.evaluators.latency import LatencyEvaluator
from gennas.files import write_parquet
from gennas.hardware.target import HardwareTarget
from gennas.spaces import get_space
from gennas.tasks import get_task


def main(
    out: Path = Path("datasets/nasbench201/latency_cpu.parquet"),
    space: str = "nasbench201",
    task: str = "cifar10",
    count: int = 3000,
    seed: int = 0,
) -> None:
    """Measures ``count`` cells drawn with ``seed`` and writes key, latency_ms, quartiles and the second measurement."""
    torch.set_num_threads(1)
    the_space, the_task = get_space(space), get_task(task)
    archs = list(the_space.enumerate())
    chosen = np.random.default_rng(seed).permutation(len(archs))[:count]
    evaluator, target = LatencyEvaluator(the_space), HardwareTarget()
    repeated = list(range(0, count, 10))
    plan = [(position, False) for position in range(count)] + [(position, True) for position in repeated]

    columns = ["key", "latency_ms", "latency_ms_q25", "latency_ms_q75", "latency_ms_again"]
    table = pd.read_parquet(out) if out.exists() else pd.DataFrame(columns=columns)
    rows = {row["key"]: row for row in table.to_dict("records")}
    source = {
        "machine": cpu_model(),
        "software": f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}",
        "protocol": f"{target.name}, {the_task.name} {the_task.input_shape}, skeleton {the_space.skeleton}",
    }
    for done, (position, again) in enumerate(plan, start=1):
        arch = archs[chosen[position]]
        row = rows.get(arch.key)
        if row is None:
            timing = evaluator.timing(arch, target, task=the_task)
            rows[arch.key] = {
                "key": arch.key,
                "latency_ms": timing.median_ms,
                "latency_ms_q25": timing.lower_quartile_ms,
                "latency_ms_q75": timing.upper_quartile_ms,
                "latency_ms_again": np.nan,
            }
        elif again and np.isnan(row["latency_ms_again"]):
            row["latency_ms_again"] = evaluator.timing(arch, target, task=the_task).median_ms
        if done % 100 == 0 or done == len(plan):
            write_parquet(pd.DataFrame(list(rows.values())), out, source)
            print(f"{done}/{len(plan)} measurements", flush=True)

    twice = pd.DataFrame(list(rows.values())).dropna()
    difference = (twice.latency_ms_again / twice.latency_ms - 1).abs()
    rho = spearmanr(twice.latency_ms, twice.latency_ms_again).statistic
    print(
        f"{source}\n{len(rows)} cells; measured twice: {len(twice)}, Spearman {rho:.4f}, "
        f"median |difference| {difference.median():.2%}"
    )


if __name__ == "__main__":
    auto_cli(main)
