"""How much the tiny tasks differ in which archs are good at them: rank correlations of trained accuracies.

    python scripts/bench_tiny_tasks.py datasets/tiny-tasks/trained.parquet

The file has a row per training: ``task``, ``arch``, ``seed``, ``accuracy`` (validation) and ``test_accuracy``. All
correlations are Kendall's tau of test accuracies of single trainings, over the archs that both tasks have. Two seeds of
one task say how much of it is noise. It is corrected as if ranks came from normal variables: tau is 2/pi arcsin(rho),
noise multiplies rho by the roots of both tasks' rho between seeds, and the ceiling of a task, the tau that a predictor
of its true mean reaches on one training, is that of the root (Greiner 1909; Spearman 1904). Test images are the same
for both seeds, so that what 1,000 images leave open is no part of the noise.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from gennas.tasks.tiny import HELD_OUT_TASKS, TRAINING_TASKS

_LEAST = 0.7
_KINDS = {**TRAINING_TASKS, **HELD_OUT_TASKS}


def main(trained: Path) -> None:
    """Prints a row per task, and the means."""
    frame = pd.read_parquet(trained).query("task in @_KINDS")
    tables = {
        str(task): group.pivot_table(index="arch", columns="seed", values="test_accuracy")
        for task, group in frame.groupby("task")
    }
    seeds = {task: between_seeds(table) for task, table in tables.items()}
    ceilings = pd.Series({task: tau_of(np.sqrt(rho_of(max(seeds[task], 0)))) for task in tables})
    counted = [task for task in tables if ceilings[task] >= _LEAST]
    pairs = pd.DataFrame([_pair(one, other, tables, seeds) for one, other in combinations(counted, 2)])
    print(f"two seeds of one task: mean tau {np.nanmean(list(seeds.values())):.3f}, {len(counted)} tasks count")
    print(_rows(tables, seeds, ceilings, pairs).to_string(index=False, float_format="%.2f"))
    print()
    for name, part in [("all pairs", pairs), *((str(which), part) for which, part in pairs.groupby("which"))]:
        tau, without_noise = part["tau"].mean(), part["corrected"].mean()
        print(f"{name}: {len(part)}, mean tau {tau:.3f}, corrected for noise {without_noise:.3f}")
    left_out = [task for task in tables if task not in counted]
    print(f"do not count, with a ceiling under {_LEAST}: {', '.join(left_out) or 'none'}")
    means = [task for task in tables if ceiling_of_means(seeds[task]) >= _LEAST]
    print(f"of means of two trainings, {len(means)} of {len(tables)} tasks have a ceiling of {_LEAST} or more")
    for name, names in (("training", TRAINING_TASKS), ("held-out", HELD_OUT_TASKS)):
        prior = [mean_rank(task, tables, set(TRAINING_TASKS)) for task in counted if task in names]
        print(f"mean rank over the other training tasks, on {len(prior)} {name} tasks: mean tau {np.mean(prior):.3f}")


def tau_of(rho: float) -> float:
    """Kendall's tau of normal variables with this correlation."""
    return float(2 / np.pi * np.arcsin(np.clip(rho, -1, 1)))


def rho_of(tau: float) -> float:
    """The correlation of normal variables with this tau."""
    return float(np.sin(np.pi / 2 * tau))


def ceiling_of_means(tau: float) -> float:
    """The ceiling where archs have means of two trainings, given the tau between seeds (Spearman 1910, Brown 1910)."""
    rho = rho_of(max(tau, 0))
    return tau_of(np.sqrt(2 * rho / (1 + rho)))


def corrected(tau: float, one: float, other: float) -> float:
    """The tau of two tasks without noise, given the tau between the seeds of each."""
    return tau_of(rho_of(tau) / np.sqrt(rho_of(one) * rho_of(other)))


def between_seeds(table: pd.DataFrame) -> float:
    """Mean tau of two trainings of the same archs; NaN where no two archs were trained twice."""
    return float(np.mean([_tau(table[one], table[other]) for one, other in combinations(table, 2)] or [np.nan]))


def mean_rank(task: str, tables: dict[str, pd.DataFrame], known: set[str]) -> float:
    """Tau of a task's first seed with the mean rank of archs over the other tasks that are known."""
    others = pd.DataFrame({other: tables[other].mean(axis=1) for other in tables if other in known and other != task})
    return _tau(tables[task].iloc[:, 0], others.rank(pct=True).mean(axis=1))


def _pair(one: str, other: str, tables: dict[str, pd.DataFrame], seeds: dict[str, float]) -> dict[str, object]:
    tau = float(np.mean([_tau(tables[one][a], tables[other][b]) for a in tables[one] for b in tables[other]]))
    kinds = "of one kind" if _KINDS[one] == _KINDS[other] else "of two kinds"
    which = f"pairs {kinds}" if (one in TRAINING_TASKS) == (other in TRAINING_TASKS) else "training with held-out"
    without_noise = corrected(tau, seeds[one], seeds[other])
    return {"one": one, "other": other, "which": which, "tau": tau, "corrected": without_noise}


def _rows(
    tables: dict[str, pd.DataFrame], seeds: dict[str, float], ceilings: pd.Series, pairs: pd.DataFrame
) -> pd.DataFrame:
    rows = []
    for task, table in sorted(tables.items(), key=lambda item: (item[0] in HELD_OUT_TASKS, item[0])):
        means = table.mean(axis=1)
        alike = pairs[(pairs["one"] == task) | (pairs["other"] == task)]["corrected"].mean()
        rows.append(
            {
                "task": task,
                "set": "held out" if task in HELD_OUT_TASKS else "training",
                "archs": len(table),
                "worst": means.min(),
                "median": means.median(),
                "best": means.max(),
                "between seeds": seeds[task],
                "ceiling": ceilings[task],
                "of means": ceiling_of_means(seeds[task]),
                "mean rank": mean_rank(task, tables, set(TRAINING_TASKS)),
                "to others": alike,
            }
        )
    return pd.DataFrame(rows)


def _tau(one: pd.Series, other: pd.Series) -> float:
    both = pd.concat([one, other], axis=1).dropna()
    return float(kendalltau(both.iloc[:, 0], both.iloc[:, 1]).statistic) if len(both) > 1 else float("nan")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path, help="Parquet file of trainings")
    main(parser.parse_args().trained)
