"""Training a predictor on a table: one network for every metric, for decided and masked graphs alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

import gennas
from gennas.arch import Arch
from gennas.graph import GraphBatch
from gennas.part_files import begin_part, write_part
from gennas.predictors.features import DESCRIBED, GraphFeatures, describe
from gennas.predictors.gnn import GNNPredictor, load_predictor
from gennas.predictors.labels import Labels
from gennas.predictors.learning_curve import learning_curve
from gennas.predictors.losses import RANKINGS, weighted_likelihood
from gennas.predictors.model_card import predictor_card
from gennas.predictors.normal_scores import REACH
from gennas.predictors.quality import Z90, quality
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.teacher import fit_teacher
from gennas.spaces import Space, name_in_files
from gennas.tables import Table
from gennas.tasks import TASKS, Task, get_task
from gennas.training.trainer import fit, one_cycle

#: Masked decisions of a graph from which the choice head learns at a step.
CHOICES = 8
#: Their weight in the loss: their many targets are those of one arch, and in full they would be learnt by heart.
CHOICE_WEIGHT = 0.5
#: Archs of the space that a model for few labels teaches.
TAUGHT = 12_000
#: Labels from which on a share of them is kept for calibration.
CALIBRATED = 200
#: Partly masked copies of a calibration arch.
MASKED_COPIES = 4


@dataclass(frozen=True)
class SoftTargets:
    """What a predictor is shown.

    Attributes:
        graphs: ``N`` decided graphs.
        mean: ``(N, m + described)`` normal scores of their metrics, NaN where unknown, and their description.
        std: the same shape, how sure that is; every time an arch is shown its scores are drawn anew.
    """

    graphs: GraphBatch
    mean: Tensor
    std: Tensor


class PredictorModule(lightning.LightningModule):
    """Fits the Gaussian heads of all members to normal scores.

    The target of a masked graph is the score of the arch it was made from, so that its mean and variance become
    those of a random completion; that of a masked graph and one of its arch's choices is the same score. Where slots
    are interchangeable, every arch is seen under a random numbering, as a generator may draw any. Loss:
    :func:`gennas.predictors.losses.weighted_likelihood`, summed over the metrics that are known, and, if asked, a loss
    of the order of whole archs.
    """

    def __init__(
        self, space: Space, predictor: GNNPredictor, lessons: SoftTargets, training: PredictorTraining
    ) -> None:
        super().__init__()
        self.space = space
        self.numbering = np.random.default_rng(0)
        self.predictor = predictor
        self.lessons = lessons
        self.training_settings = training

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        rows, settings = batch[0].cpu(), self.training_settings
        graph = self.lessons.graphs[rows].permuted(self.space, self.numbering)
        mean, std = self.lessons.mean[rows], self.lessons.std[rows]
        target = (mean + std * torch.randn(mean.shape)).to(self.device)
        level, count = torch.rand(len(rows), 1), graph.template.decisions
        masked = torch.rand(len(rows), count) < level
        masked &= torch.rand(len(rows), 1) < settings.masked_share
        decisions = torch.rand(masked.shape).masked_fill(~masked, -1).topk(min(count, CHOICES)).indices
        made = graph.choices().gather(1, decisions)
        partly, on = graph.with_mask(masked).to(self.device), self.device
        # The graph as it is, then with each of these decisions made as in the arch it comes from.
        mean, variance = self.predictor.member_scores(partly, decisions.to(on), made[..., None].to(on))
        counts = torch.cat([torch.ones(len(rows), 1, dtype=torch.bool), masked.gather(1, decisions)], dim=1).to(on)
        known = counts[..., None] & ~target.isnan()[:, None]  # (b, 1 + q, m + described)
        loss = weighted_likelihood(mean, variance, torch.where(target.isnan(), 0.0, target)[:, None])
        now, then = loss[:, :, :1][:, known[:, :1]], loss[:, :, 1:][:, known[:, 1:]]
        total = now.mean() + CHOICE_WEIGHT * then.sum() / max(then.numel(), 1)
        if settings.ranking == "none":
            return total
        whole, metrics = ~masked.any(1).to(on), len(self.predictor.metrics)
        order = [RANKINGS[settings.ranking](member[whole, 0, :metrics], target[whole, :metrics]) for member in mean]
        return total + settings.ranking_weight * torch.stack(order).mean()

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        return one_cycle(self.predictor.parameters(), settings.learning_rate, settings.steps)


def fit_predictor(
    space: Space, labels: Labels, rows: np.ndarray, training: PredictorTraining, *, seed: int, folder: Path
) -> GNNPredictor:
    """A predictor trained and calibrated on some rows of the labels, and on nothing else.

    Few labels a network learns by heart: fewer than ``training.few`` are learnt by :func:`fit_teacher`, which then
    teaches the network what it thinks, and how surely, of archs drawn from the whole space.

    Raises:
        InvalidInputError: see :meth:`Labels.check`.
    """
    torch.manual_seed(seed)
    predictor = GNNPredictor(
        space.template, labels.metrics, training.width, training.layers, training.members, DESCRIBED
    )
    shuffled = np.random.default_rng(seed).permutation(rows)
    # A twentieth of fifty archs calibrates nothing, and is missed in training.
    held = int(training.calibration_share * len(rows)) if len(rows) >= CALIBRATED else 0
    calibration, train = shuffled[:held], shuffled[held:]
    labels.check(train)
    scores = predictor.scores.fit(labels.values[train])
    if len(train) < training.few:
        lessons = distillation_targets(space, labels, train, seed=seed)
    else:
        graphs = labels.graphs[torch.from_numpy(train)]
        described = torch.from_numpy(describe(space, decided(graphs, space), sizing_task(labels.metrics))).float()
        mean = torch.cat([scores, described], dim=1)
        lessons = SoftTargets(graphs, mean, torch.zeros_like(mean))
    fit(
        PredictorModule(space, predictor, lessons, training),
        title=f"training the {space.name} predictor on {len(rows):,} archs",
        size=len(lessons.graphs),
        steps=training.steps,
        batch_size=training.batch_size,
        seed=seed,
        folder=folder,
    )
    predictor.cpu().eval()
    if held:
        calibrate(predictor, labels.graphs[torch.from_numpy(calibration)], labels.values[calibration])
    else:
        graphs = lessons.graphs[torch.arange(min(len(lessons.graphs), 1024))]
        with torch.inference_mode():
            predictor.decided_std.copy_(predictor.score(graphs)[1].median(0).values)
    return predictor


def distillation_targets(space: Space, labels: Labels, rows: np.ndarray, *, seed: int) -> SoftTargets:
    """What few labels, learnt by :func:`fit_teacher`, say of archs drawn from the whole space, and of themselves."""
    pool = drawn_archs(space, TAUGHT, seed)
    archs = [*decided(labels.graphs[torch.from_numpy(rows)], space), *pool]
    task, view = sizing_task(labels.metrics), GraphFeatures(space)
    features = view.of(archs, task)
    found = []
    for column in labels.values[rows].T:
        known = np.flatnonzero(~np.isnan(column))
        learnt = fit_teacher(features, known, column[known], views=view.simple, seed=seed)
        found.append((learnt.mean, learnt.std))
    described = describe(space, archs, task)
    mean = np.column_stack([*(mean for mean, _ in found), described])
    std = np.column_stack([*(std for _, std in found), np.zeros_like(described)])
    return SoftTargets(
        GraphBatch.from_archs(archs, space.template), *(torch.from_numpy(x).float() for x in (mean, std))
    )


def drawn_archs(space: Space, count: int, seed: int) -> list[Arch]:
    """``count`` random archs of a space; all of one that has fewer."""
    rng = np.random.default_rng(seed)
    if space.size is None:
        return list(dict.fromkeys(space.sample(rng) for _ in range(count)))
    ops, edges = space.enumerate_graphs()
    rows = np.sort(rng.permutation(len(ops))[:count])
    return decided(GraphBatch.from_arrays(ops[rows], edges[rows], space.template), space)


def decided(graphs: GraphBatch, space: Space) -> list[Arch]:
    """The archs of decided graphs that keep all rules."""
    return [arch for arch in graphs.to_archs(space) if arch is not None]


def sizing_task(metrics: Sequence[str]) -> Task:
    """The first known task among metrics' places: for its images or graph costs are told."""
    places = [metric.partition("@")[2] for metric in metrics if metric.startswith("accuracy@")]
    return get_task(next((place for place in places if place in TASKS), "cifar10"))


@torch.inference_mode()
def calibrate(predictor: GNNPredictor, graphs: GraphBatch, values: np.ndarray) -> None:
    """Scales every metric's std so that its 90 % intervals cover 90 % of ``values (N, m)``, and learns the errors.

    Split-conformal scaling (Papadopoulos et al. 2002) of ``|error| / std`` in normal scores, where a metric that
    takes few distinct values still has a scale; for whole graphs, and for the same graphs partly masked.
    """
    rng = torch.Generator().manual_seed(0)
    rows = torch.arange(len(graphs)).repeat(MASKED_COPIES)
    masked = torch.rand(len(rows), graphs.template.decisions, generator=rng) < torch.rand(len(rows), 1, generator=rng)
    masked[torch.arange(len(rows)), torch.randint(masked.shape[1], (len(rows),), generator=rng)] = True
    partly = graphs[rows].with_mask(masked)
    whole_scores, partly_scores = (
        [torch.cat(part).numpy() for part in zip(*(predictor.score(graph[at]) for at in _batches(graph)), strict=True)]
        for graph in (graphs, partly)
    )
    for metric in range(values.shape[1]):
        known = np.flatnonzero(~np.isnan(values[:, metric]))
        if len(known) < 10:
            continue
        truth = np.full(len(values), np.nan)
        truth[known] = [predictor.scores.score_of(metric, value) for value in values[known, metric]]
        truth = truth.clip(-REACH, REACH)
        ratio = ((truth - whole_scores[0][:, metric]) / whole_scores[1][:, metric])[known]
        partly_ratio = (np.tile(truth, MASKED_COPIES) - partly_scores[0][:, metric]) / partly_scores[1][:, metric]
        level = min(0.9 * (1 + 1 / len(known)), 1.0)
        scale = float(np.quantile(np.abs(ratio), level)) / Z90
        predictor.spread_scale[metric] = scale
        predictor.masked_scale[metric] = float(np.nanquantile(np.abs(partly_ratio), level)) / Z90
        predictor.residuals.fit(metric, whole_scores[0][known, metric], ratio / scale)
    stds = torch.cat([predictor.score(graphs[at])[1] for at in _batches(graphs)])
    predictor.decided_std.copy_(stds.median(0).values)


def _batches(graph: GraphBatch) -> tuple[Tensor, ...]:
    return torch.arange(len(graph)).split(1024)


def train_predictor(
    space: Space,
    table: Table,
    training: PredictorTraining,
    *,
    held_out_labels: int,
    curve_seeds: int = 10,
    seed: int,
    out: Path,
) -> GNNPredictor:
    """Trains a predictor on a whole table and writes ``out/predictor``.

    First a twin is trained on ``held_out_labels`` archs only and tested on all others: its quality is what the
    card calls held-out. Then comes how well still fewer labels do, over ``curve_seeds`` draws of them. What was
    trained in ``out`` with the same settings is loaded; what was begun goes on.

    Raises:
        StudyError: ``out`` has a predictor of other settings.
        InvalidInputError: the table has fewer complete rows than ``held_out_labels``, or too few labels of a metric.
    """
    start = time.monotonic()
    settings = {
        "space": name_in_files(space),
        "table": table.name,
        "training": asdict(training),
        "held_out_labels": held_out_labels,
        "curve_seeds": curve_seeds,
        "seed": seed,
    }
    if not begin_part(out, "predictor", settings):
        return load_predictor(out)[0]
    labels = Labels.of(space, table)
    held_out = held_out_quality(space, labels, few_label_training(training), held_out_labels, seed)
    everything = np.arange(len(labels.values))
    predictor = fit_predictor(space, labels, everything, training, seed=seed, folder=out / "predictor")
    accuracy = next((name for name in labels.metrics if name.startswith("accuracy@")), labels.metrics[0])
    curve = learning_curve(space, labels, accuracy, sizing_task(labels.metrics), seeds=curve_seeds)
    metrics = {
        "seconds": round(time.monotonic() - start, 1),
        "few_labels": curve,
        "held_out": {"labels": held_out_labels, "seed": seed, "metrics": held_out},
        "whole_table": {"labels": len(everything), "metrics": quality(predictor, labels, everything)},
    }
    config = {
        "part": "predictor",
        "gennas": gennas.__version__,
        **settings,
        "skeleton": space.skeleton,
        "latency_input_shape": list(table.latency_input_shape),
        "metrics": list(labels.metrics),
        "predictor": predictor.config,
    }
    write_part(out, "predictor", config, predictor.state_dict(), metrics, predictor_card(config, metrics))
    return predictor


def few_label_training(training: PredictorTraining) -> PredictorTraining:
    """The same predictor, trained for as long as it takes to learn what a model for few labels teaches."""
    return replace(training, steps=min(training.steps, 1200), batch_size=min(training.batch_size, 256))


def held_out_quality(
    space: Space, labels: Labels, training: PredictorTraining, count: int, seed: int
) -> dict[str, dict[str, float]]:
    """Quality on all other archs of a predictor that saw only ``count`` random ones."""
    rows, others = labels.split(count, seed)
    with TemporaryDirectory() as folder:
        predictor = fit_predictor(space, labels, rows, training, seed=seed, folder=Path(folder))
    return quality(predictor, labels, others)
