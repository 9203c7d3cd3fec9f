"""What the generator and its guidance are worth, each question one JSON document.

    GENNAS_DATA=... python scripts/bench_generator.py exactness | unconditional | guided | constraints | speed

True values are the tables': NAS-Bench-201 validation accuracy after 200 epochs and latency measured on the device;
NAS-Bench-101 test accuracy after 108 epochs, one repeat, which nothing here chooses by.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator, load_generator
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.exact import ExactGuide
from gennas.diffusion.guides.predicted import ConstraintGuide, ObjectiveGuide, ScoreSource
from gennas.diffusion.quality import unconditional_quality
from gennas.diffusion.sampler import SamplerConfig, sample
from gennas.diffusion.settings import GeneratorTraining
from gennas.diffusion.training import train_generator, training_archs
from gennas.generation.pipeline import generate_with
from gennas.generation.request import Request
from gennas.graph import GraphBatch
from gennas.metrics import Metric, parse_constraints
from gennas.part_files import read_config
from gennas.predictors import load_predictor
from gennas.predictors.deployment import DeploymentPredictor
from gennas.predictors.labels import Labels
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import few_label_training, fit_predictor
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.spaces.template import FREE, Template
from gennas.tables import load_table

DEVICES = ("raspi4", "pixel3", "1080ti_1", "gold_6226", "eyeriss")


def exactness(
    checkpoint: str = "nasbench201",
    draws: int = 200_000,
    learned_draws: int = 20_480,
    particles: int = 512,
    seed: int = 0,
) -> dict[str, Any]:
    """Total variation to the tilted distribution of NAS-Bench-201 with exact V; the mean with the learned predictor."""
    folder = Checkpoint(checkpoint).folder
    generator, (predictor, _) = load_generator(folder), load_predictor(folder)
    archs = list(generator.space.enumerate())
    metric = Metric.parse("accuracy@cifar10")
    accuracy = load_table().column(metric.name)[[arch.key for arch in archs]].to_numpy()
    f = (accuracy - accuracy.mean()) / accuracy.std()
    row = {arch: i for i, arch in enumerate(archs)}
    column = predictor.metrics.index(metric.name)

    def standardised(score: torch.Tensor) -> torch.Tensor:
        return (predictor.scores.value_of(column, score) - accuracy.mean()) / accuracy.std()

    rng, results = np.random.default_rng(seed), []
    for strength in (0.0, 1.0, 2.0, 4.0):
        target = np.exp(strength * (f - f.max()))
        target /= target.sum()

        def distance(counts: np.ndarray, target: np.ndarray = target) -> float:
            return float(np.abs(counts / counts.sum() - target).sum() / 2)

        exact = ExactGuide(generator.space.template, archs, f, strength)
        drawn = _rows(generator, exact, draws, row, SamplerConfig(particles=1, corrections=0), seed)
        mine = distance(np.bincount(drawn, minlength=len(f)))
        independent = [distance(rng.multinomial(draws, target)) for _ in range(10)]
        source = ScoreSource(predictor, {metric.name: [metric.name]})
        learned = ObjectiveGuide(source, metric, strength, of=standardised)
        sampling = SamplerConfig(particles=particles)
        shares: list[float] = []
        drawn = _rows(generator, learned, learned_draws, row, sampling, seed, shares)
        mean = float(target @ f)
        results.append(
            {
                "strength": strength,
                "tv": round(mine, 5),
                "tv_of_independent_draws": round(float(np.mean(independent)), 5),
                "ratio": round(mine / float(np.mean(independent)), 4),
                "exact_mean_f": round(mean, 4),
                "learned_mean_f": round(float(f[drawn].mean()), 4),
                "learned_minus_exact": round(float(f[drawn].mean()) - mean, 4),
                "standard_error": round(float(f[drawn].std() / np.sqrt(len(drawn))), 4),
                "learned_effective_share": round(min(shares), 3),
            }
        )
    return {"draws": draws, "learned_draws": learned_draws, "particles": particles, "strengths": results}


def _rows(
    generator: Generator,
    guide: Any,
    draws: int,
    row: dict[Arch, int],
    sampling: SamplerConfig,
    seed: int,
    shares: list[float] | None = None,
) -> np.ndarray:
    """The numbers of the archs drawn, some thousand at a time."""
    rng = torch.Generator().manual_seed(seed)
    rows: list[int] = []
    while len(rows) < draws:
        samples = generator.sample(min(10_240, draws - len(rows)), guides=[guide], sampling=sampling, seed=rng)
        rows += [row[arch] for arch in samples.archs]
        if shares is not None:
            shares.append(samples.effective_share)
    return np.array(rows)


def unconditional(
    checkpoints: Sequence[str] = ("nasbench201", "nasbench101", "nasbench_graph"), draws: int = 10_000, seeds: int = 3
) -> dict[str, Any]:
    """Validity, uniqueness and distances of the shipped generators; novelty of one that saw half of NAS-Bench-201."""
    results: dict[str, Any] = {}
    for name in checkpoints:
        folder = Checkpoint(name).folder
        generator, config = load_generator(folder), read_config(folder, "generator")
        parts = training_archs(generator.space, GeneratorTraining(**config["training"]), config["seed"])
        results[name] = [unconditional_quality(generator, *parts, draws, seed) for seed in range(1, seeds + 1)]
    half = []
    for seed in range(seeds):
        training, space = GeneratorTraining(held_out=0.5), get_space("nasbench201")
        with TemporaryDirectory() as out:
            generator = train_generator(space, training, seed=seed, out=Path(out))
        half.append(unconditional_quality(generator, *training_archs(space, training, seed), draws))
    return {**results, "nasbench201, half of it held out": half}


def guided(
    checkpoint: str = "nasbench101", labels: int = 400, n: int = 100, strength: float = 3.0, seeds: int = 3
) -> dict[str, Any]:
    """100 NAS-Bench-101 cells guided by a predictor that saw 400: as drawn, and as `generate` chooses them."""
    table, generator = load_table("nasbench101"), load_generator(Checkpoint(checkpoint).folder)
    space, metric = generator.space, Metric.parse("accuracy@cifar10")
    test = table.column("test_accuracy@cifar10")
    everything = Labels.of(space, table)
    runs = []
    for seed in range(seeds):
        rows, _ = everything.split(labels, seed)
        training = few_label_training(PredictorTraining())
        with TemporaryDirectory() as folder:
            predictor = fit_predictor(space, everything, rows, training, seed=seed, folder=Path(folder))
        source = ScoreSource(predictor, {metric.name: [metric.name]})
        samples = generator.sample(n, guides=[ObjectiveGuide(source, metric, strength)], seed=seed)
        drawn = [arch.key for arch in space.canonicalised(samples.archs)]
        request = _request("nasbench101", "cifar10", None, (), n, strength)
        placed = DeploymentPredictor(predictor, space, request.problem.task, None)
        result = generate_with(generator, placed, request, seed=seed)
        chosen = [arch.key for arch in result.archs]
        runs.append(
            {"seed": seed, "as_drawn": _true(drawn, test), "chosen": _true(chosen, test), "scored": result.scored}
        )
    return {
        "labels": labels,
        "strength": strength,
        "test_accuracy_95th_percentile": round(float(test.quantile(0.95)), 5),
        "runs": runs,
    }


def _request(space: str, task: str, hardware: str | None, where: Sequence[str], n: int, strength: float) -> Request:
    return Request(Problem(space, task, "accuracy", where, hardware), n=n, strength=strength, distinct="archs")


def _true(keys: Sequence[str], truth: Any) -> dict[str, float]:
    """How many archs are distinct, and the mean true value of these."""
    distinct = list(dict.fromkeys(keys))
    return {"valid": len(keys), "distinct": len(distinct), "mean_true": round(float(truth[distinct].mean()), 5)}


def constraints(
    checkpoint: str = "nasbench201",
    task: str = "cifar10",
    devices: Sequence[str] = DEVICES,
    n: int = 100,
    confidence: float = 0.99,
    seeds: int = 3,
) -> dict[str, Any]:
    """Cells within a latency limit, against rejection sampling with as many predictor calls.

    Rejection draws unguided cells, as many as the guided request had scored, and keeps those that hold with the same
    confidence: all of them, and the ``n`` with the best predicted accuracy.
    """
    folder, table = Checkpoint(checkpoint).folder, load_table()
    generator, predictor = load_generator(folder), load_predictor(folder)[0]
    accuracy = table.column(f"accuracy@{task}")
    results: list[dict[str, Any]] = []
    for device in devices:
        latency = table.column(f"latency_ms@{device}")
        for percentile in (10, 30, 60):
            limit = round(float(latency.quantile(percentile / 100)), 4)
            for seed in range(seeds):
                request = _request("nasbench201", task, device, [f"latency_ms@{device} <= {limit}"], n, 3.0)
                request = replace(request, confidence=confidence)
                placed = DeploymentPredictor(predictor, generator.space, request.problem.task, device)
                result = generate_with(generator, placed, request, seed=seed)
                keys = [arch.key for arch in result.archs]
                kept = _rejection(generator, placed, request, result.scored, seed)
                results.append(
                    {
                        "device": device,
                        "percentile": percentile,
                        "limit_ms": limit,
                        "seed": seed,
                        "returned": len(keys),
                        "truly_within": round(float((latency[keys] <= limit).mean()), 4),
                        "mean_true": round(float(accuracy[keys].mean()), 5),
                        "scored": result.scored,
                        "rejection_kept": len(kept),
                        "rejection_mean_true": round(float(accuracy[kept].mean()), 5),
                        "rejection_best_mean_true": round(float(accuracy[kept[:n]].mean()), 5),
                        "effective_share": round(result.effective_share, 3),
                    }
                )
    return {
        "task": task,
        "confidence": confidence,
        "lowest_truly_within": min(r["truly_within"] for r in results),
        "mean_truly_within": round(float(np.mean([r["truly_within"] for r in results])), 4),
        "beats_rejection": sum(r["mean_true"] > r["rejection_mean_true"] for r in results),
        "beats_best_of_rejection": sum(r["mean_true"] > r["rejection_best_mean_true"] for r in results),
        "requests": len(results),
        "results": results,
    }


@torch.inference_mode()
def _rejection(generator: Generator, placed: DeploymentPredictor, request: Request, draws: int, seed: int) -> list[str]:
    """Distinct unguided cells that hold all bounds with the request's confidence, best predicted first."""
    archs = list(dict.fromkeys(generator.sample(draws, seed=seed).archs))
    metrics = request.problem.metrics
    source = ScoreSource(placed.predictor, placed.parts(metrics))
    graph = GraphBatch.from_archs(archs, generator.space.template)
    holds = torch.ones(len(archs), dtype=torch.bool)
    for bound in request.problem.where:
        holds &= ConstraintGuide(source, bound).log_values(graph, torch.arange(len(archs))).exp() >= request.confidence
    mean, _ = source.score(graph, request.problem.objective.metrics[0].name)
    order = mean.masked_fill(~holds, -torch.inf).argsort(descending=True)[: int(holds.sum())]
    return [archs[i].key for i in order.tolist()]


def speed(unguided_draws: int = 10_000, guided_draws: int = 10_240, repeats: int = 3) -> dict[str, Any]:
    """Graphs per second, archs made and nothing remembered from before; growth with the number of slots."""
    results: dict[str, Any] = {"threads": torch.get_num_threads()}
    for name, metrics in {
        "nasbench201": ("accuracy@cifar10", "latency_ms@raspi4"),
        "nasbench101": ("accuracy@cifar10",),
    }.items():
        folder = Checkpoint(name).folder
        predictor, _ = load_predictor(folder)
        where = [f"{metric} <= 10" for metric in metrics[1:]]
        rates: dict[bool, list[float]] = {False: [], True: []}
        for repeat in range(repeats):
            for guide, count in ((False, unguided_draws), (True, guided_draws)):
                generator = load_generator(folder)
                source = ScoreSource(predictor, {metric: [metric] for metric in metrics})
                start = time.monotonic()
                guides: list[Guide] = [ObjectiveGuide(source, Metric.parse(metrics[0]), 3.0)] if guide else []
                guides += [ConstraintGuide(source, bound) for bound in parse_constraints(where, "", None) if guide]
                generator.sample(count, guides=guides, seed=repeat)
                rates[guide].append(count / (time.monotonic() - start))
        results[name] = {
            "unguided_per_second": _spread(rates[False]),
            "guided_per_second": _spread(rates[True]),
            "pretraining_seconds": json.loads((folder / "generator" / "metrics.json").read_text())["seconds"],
        }
    sizes = (8, 16, 32, 64, 128)
    seconds = {n: _seconds_per_graph(n) for n in sizes}
    growth = [np.log2(seconds[2 * n] / seconds[n]) for n in sizes[:-1]]
    return {
        **results,
        "slots": {str(n): f"{seconds[n] * 1e3:.3f} ms per graph" for n in sizes},
        "growth_exponents": [round(float(g), 2) for g in growth],
        "growth_exponent_overall": round(float(np.log(seconds[128] / seconds[8]) / np.log(16)), 2),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values))), "lowest": round(min(values)), "highest": round(max(values))}


def _seconds_per_graph(n: int, graphs: int = 32) -> float:
    """Time to sample one graph of ``n`` slots with five operations and all edges free, unguided, in 32 steps."""
    template = Template(
        tuple(str(i) for i in range(n)), tuple("abcde"), np.ones((n, 5), dtype=bool), np.triu(np.full((n, n), FREE), 1)
    )
    torch.manual_seed(0)
    denoiser, rng = Denoiser(template).eval(), torch.Generator().manual_seed(0)
    times = []
    for _ in range(3):
        start = time.monotonic()
        sample(denoiser.log_probs, GraphBatch.undecided_batch(template, graphs), rng)
        times.append((time.monotonic() - start) / graphs)
    return min(times)


if __name__ == "__main__":
    answer = auto_cli([exactness, unconditional, guided, constraints, speed])
    print(json.dumps({**answer, "machine": machine()}, indent=2))
