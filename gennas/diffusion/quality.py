"""Quality of a generator: its samples compared with the archs that it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gennas.consent import expect
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.predicted import ObjectiveGuide, ScoreSource
from gennas.diffusion.joint_denoiser import JointDenoiser
from gennas.diffusion.noise import corrupt
from gennas.graph import GraphBatch
from gennas.metrics import Metric
from gennas.spaces import Space


@dataclass(frozen=True, eq=False)
class Graphs:
    """Archs of one space as arrays.

    Attributes:
        ops: ``(N, n)`` operation indices.
        edges: ``(N, n, n)`` boolean, the present edges.
    """

    ops: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.ops)

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Operations and edges of the given rows."""
        return self.ops[rows], self.edges[rows]

    def codes(self, space: Space) -> np.ndarray:
        """``(N,)`` a bytes object per graph, equal for graphs of the same arch."""
        ops, edges = space.canonical_form(self.ops, self.edges)
        bits = np.packbits(edges.reshape(len(ops), edges.shape[1] ** 2), axis=1)
        rows = np.concatenate([ops.astype(np.uint8), bits], axis=1)
        return np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()


def bound(
    denoiser: Denoiser | ExactDenoiser | JointDenoiser, graph: GraphBatch, rng: torch.Generator | None = None
) -> Tensor:
    """``(b,)`` one-sample estimates of the negative evidence lower bound on ``log p(arch)``, in nats."""
    noisy = corrupt(graph, rng)
    chosen = denoiser.log_probs(noisy.graph).gather(2, graph.choices()[..., None]).squeeze(-1)  # (b, D)
    return -noisy.weight * torch.where(noisy.masked, chosen, 0.0).sum(1)


@torch.inference_mode()
def unconditional_quality(
    generator: Generator, training: Graphs, held_out: Graphs, draws: int = 10_000, seed: int = 1
) -> dict[str, Any]:
    """Compares unguided samples of a generator with uniform draws from its training archs.

    Args:
        generator: the generator.
        training: the archs that it was trained on.
        held_out: archs of its space that were held out from training; may be empty.
        draws: number of graphs to draw.
        seed: seed of all draws.

    Returns:
        ``bound_nats`` and its standard error, ``log_archs_nats`` (the bound of a uniform distribution over the
        training archs; None if slots are interchangeable, so that an arch has several graphs); ``valid_rate``;
        ``distinct`` archs among the valid ones and ``distinct_if_uniform``; ``novel_rate``, the fraction of valid
        archs that were held out, and ``novel_if_uniform`` (None without held-out archs); ``distances``, see
        :func:`distances`.
    """
    # A graph is some kilobytes, as arrays and as an arch, and takes a millisecond to draw.
    expect(f"{draws:,} draws", gigabytes=4e-6 * draws, hours=1e-3 * draws / 3600, instead="lower `draws`")
    space, rng, numpy_rng = generator.space, torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    rows = numpy_rng.integers(len(training), size=draws)
    graph = GraphBatch.from_arrays(*training.take(rows), space.template).permuted(space, numpy_rng)
    nats = torch.cat([bound(generator.denoiser, graph[part], rng) for part in torch.arange(draws).split(1000)])
    samples = generator.sample(draws, seed=rng)
    # Training archs are in canonical form, so the samples must be too.
    drawn = Graphs(*space.canonical_form(*space.arrays(samples.archs)))
    codes = drawn.codes(space)
    novel = len(held_out) > 0 and len(codes) > 0
    reachable = len(training) + len(held_out)
    slots_are_positions = type(space).canonical_form is Space.canonical_form
    return {
        "bound_nats": round(float(nats.mean()), 4),
        "bound_nats_stderr": round(float(nats.std() / math.sqrt(draws)), 4) if draws > 1 else None,
        "log_archs_nats": round(math.log(len(training)), 4) if space.size is not None and slots_are_positions else None,
        "draws": draws,
        "valid_rate": samples.valid_rate,
        "distinct": len(np.unique(codes)),
        "distinct_if_uniform": round(reachable * -math.expm1(len(codes) * math.log1p(-1 / reachable)), 1)
        if space.size is not None
        else None,
        "novel_rate": round(float(np.isin(codes, held_out.codes(space)).mean()), 4) if novel else None,
        "novel_if_uniform": round(len(held_out) / reachable, 4) if len(held_out) else None,
        "distances": distances(space, drawn, Graphs(*training.take(rows[: len(drawn)]))) if len(drawn) else {},
    }


def guided_quality(
    generator: Generator,
    source: ScoreSource,
    metric: Metric,
    strengths: Sequence[float],
    truth: Mapping[str, float],
    draws: int = 1024,
    seed: int = 1,
) -> list[dict[str, float | None]]:
    """Measures the effect of guidance towards a predicted metric, for several strengths.

    Args:
        generator: the generator.
        source: predicts the metric.
        metric: the metric to optimise.
        strengths: as for :class:`gennas.diffusion.guides.predicted.ObjectiveGuide`; 0 is unguided.
        truth: arch keys -> true values, as far as they are available.
        draws: number of graphs per strength.
        seed: seed of all draws.

    Returns:
        For every strength the ``valid_rate``, the ``distinct_rate`` of valid archs, the ``effective_share`` of the
        particles, the mean ``predicted_score`` (normal scores, larger is better), and the mean ``true_percentile`` of
        the archs with a true value among all true values (100 is the best; None if no arch has one).
    """
    true_values = np.sort(metric.kind.sign * np.array(list(truth.values())))
    curve = []
    for strength in strengths:
        samples = generator.sample(draws, guides=[ObjectiveGuide(source, metric, strength)], seed=seed)
        archs = generator.space.canonicalised(samples.archs)
        scores, _ = source.score(GraphBatch.from_archs(archs, generator.space.template), metric.name)
        found = [metric.kind.sign * truth[arch.key] for arch in archs if arch.key in truth]
        ranks = np.searchsorted(true_values, found, side="right") / max(len(true_values), 1)
        curve.append(
            {
                "strength": strength,
                "valid_rate": samples.valid_rate,
                "distinct_rate": round(len(set(archs)) / max(len(archs), 1), 4),
                "effective_share": round(samples.effective_share, 4),
                "predicted_score": round(metric.kind.sign * float(scores.mean()), 4),
                "true_percentile": round(100 * float(ranks.mean()), 2) if found else None,
            }
        )
    return curve


def distances(space: Space, drawn: Graphs, training: Graphs) -> dict[str, float]:
    """Total variation distances between the statistics of drawn and training archs, from 0 (equal) to 1.

    Statistics are operations, in- and out-degrees, depth (edges of the longest path) and the number of paths from the
    inputs to the output. Slots that hold the space's ``absent`` operation, and their edges, do not count.
    """
    found = {}
    for (name, first), (_, second) in zip(_statistics(space, drawn), _statistics(space, training), strict=True):
        values, inverse = np.unique(np.concatenate([first, second]), return_inverse=True)
        shares = [
            np.bincount(part, minlength=len(values)) / len(part) for part in np.split(inverse.ravel(), [len(first)])
        ]
        found[name] = round(float(np.abs(shares[0] - shares[1]).sum() / 2), 4)
    return found


def _statistics(space: Space, graphs: Graphs) -> list[tuple[str, np.ndarray]]:
    vocabulary = space.template.vocabulary
    absent = vocabulary.index(space.absent) if space.absent is not None else -1
    present = graphs.ops != absent
    edges = graphs.edges & present[:, :, None] & present[:, None, :]
    depth, paths = np.zeros(graphs.ops.shape, dtype=np.int64), np.zeros(graphs.ops.shape, dtype=np.float64)
    sources: np.ndarray = ~np.any(space.template.edges, axis=0)
    for slot in range(graphs.ops.shape[1]):
        into = edges[:, :, slot]
        paths[:, slot] = sources[slot] * present[:, slot] + np.where(into, paths, 0).sum(axis=1)
        # Depth counts from the inputs only.
        depth[:, slot] = np.where(into & (paths > 0), depth + 1, 0).max(axis=1)
    free = list(space.template.free_slots)
    return [
        ("operations", graphs.ops[:, free].ravel()),
        ("in_degree", edges.sum(axis=1)[present]),
        ("out_degree", edges.sum(axis=2)[present]),
        ("depth", depth[:, -1]),
        ("paths", paths[:, -1]),
    ]


def quality_table(metrics: dict[str, Any]) -> str:
    """The result of :func:`unconditional_quality` as a Markdown table."""
    rows = [
        (
            "bound on -log p (nats per arch)",
            f"{metrics['bound_nats']} +- {metrics['bound_nats_stderr']}",
            metrics["log_archs_nats"],
        ),
        ("valid, before any rejection", f"{metrics['valid_rate']:.2%}", "100 %"),
        ("distinct archs", metrics["distinct"], metrics["distinct_if_uniform"]),
        ("archs that were held out from training", metrics["novel_rate"], metrics["novel_if_uniform"]),
        *((f"distance of {name.replace('_', ' ')}", value, 0) for name, value in metrics["distances"].items()),
    ]
    lines = [
        f"| {name} | {value} | {'' if ideal is None else ideal} |" for name, value, ideal in rows if value is not None
    ]
    head = f"| measured on {metrics['draws']:,} draws | value | uniform draws |\n| --- | --- | --- |\n"
    return head + "\n".join(lines)
