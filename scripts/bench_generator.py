"""What guided generation is worth, looked up in the table, as one JSON document.

    GENNAS_DATA=... python scripts/bench_generator.py --seeds 3

Runs `gennas generate` itself, start-up included: 100 NAS-Bench-201 cells for cifar100 within 10 ms on raspi4, and
the same unguided. True values are the table's: validation accuracy after 200 epochs, measured latency.
"""

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
from jsonargparse import auto_cli
from machine import machine

from gennas.tables import load_table


def generate(*options: str) -> tuple[dict[str, Any], float]:
    """The JSON document of `gennas generate`, and its wall-clock seconds."""
    start = time.monotonic()
    command = [sys.executable, "-m", "gennas.cli", "generate", "--format", "json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), time.monotonic() - start


def main(
    checkpoint: str = "nasbench201",
    task: str = "cifar100",
    hardware: str = "raspi4",
    limit_ms: float = 10.0,
    n: int = 100,
    seeds: int = 3,
) -> None:
    """Prints how the generated cells do among all cells truly within the limit, and unguided ones among all."""
    table = load_table()
    accuracy, latency = table.column(f"accuracy@{task}"), table.column(f"latency_ms@{hardware}")
    feasible = accuracy[latency <= limit_ms]
    about = ("--checkpoint", checkpoint, "--task", task, "--hardware", hardware, "--objective", "accuracy")
    guided, unguided = [], []
    for seed in range(seeds):
        common = (*about, "-n", str(n), "--seed", str(seed))
        document, seconds = generate(*common, "--where", f"latency_ms@{hardware} <= {limit_ms}")
        keys = [arch["key"] for arch in document["archs"]]
        guided.append(
            {
                "seed": seed,
                "distinct": len(set(keys)),
                "truly_within": int((latency[keys] <= limit_ms).sum()),
                "mean_true_accuracy": round(float(accuracy[keys].mean()), 5),
                "sampled": document["sampled"],
                "seconds_with_startup": round(seconds, 1),
            }
        )
        document, seconds = generate(*common, "--strength", "0")
        ranks = [float((accuracy <= accuracy[arch["key"]]).mean() * 100) for arch in document["archs"]]
        unguided.append(
            {"seed": seed, "mean_percentile": round(float(np.mean(ranks)), 1), "seconds": round(seconds, 1)}
        )
    print(
        json.dumps(
            {
                "request": f"{n} cells for {task}, latency_ms@{hardware} <= {limit_ms:g}",
                "cells_truly_within": len(feasible),
                "their_90th_percentile": round(float(feasible.quantile(0.9)), 5),
                "guided": guided,
                "unguided": unguided,
                "machine": machine(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    auto_cli(main)
