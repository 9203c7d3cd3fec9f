"""Training a predictor on a table: all metrics at once, for decided and masked graphs."""

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
from gennas.part_files import begin_part, parts_of
from gennas.predictors import load_predictor
from gennas.predictors.base import Predictor
from gennas.predictors.domain import Domain
from gennas.predictors.features import NUM_DESCRIPTORS, GraphFeatures, describe, descriptors_of
from gennas.predictors.gnn import GNNPredictor
from gennas.predictors.labels import MIN_CALIBRATION_LABELS, Labels
from gennas.predictors.learning_curve import learning_curve
from gennas.predictors.losses import RANKINGS, weighted_likelihood
from gennas.predictors.mlp import MLPPredictor
from gennas.predictors.model_card import predictor_card
from gennas.predictors.normal_scores import REACH, normal_scores
from gennas.predictors.quality import Z90, quality
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.slot_features import SlotFeatures
from gennas.predictors.teacher import TeacherPrediction, fit_teacher
from gennas.spaces import Space, name_in_files
from gennas.spaces.template import FIXED
from gennas.tables import Table
from gennas.tasks import sizing_task
from gennas.training.trainer import fit, one_cycle

#: Weight of the choice head in the loss: its many targets come from one arch, and at full weight it overfits.
CHOICE_WEIGHT = 0.5
#: Random archs that the network is distilled on.
DISTILLED_ARCHS = 12_000
#: With fewer labels a small network is distilled in seconds; see :mod:`gennas.predictors.mlp`. Its settings, chosen on
#: 200 labels of nasbench201, and how many archs it is distilled on.
QUICK_LABELS, QUICK_STEPS, QUICK_RATE = 1000, 1000, 3e-3
#: Metrics with so many labels need no teacher, where others have one.
DIRECT_LABELS = 3000
#: Largest std of how much an arch of the varied ones prefers an operation, in logarithms; how many are drawn at once.
MOST_PREFERENCE, VARIED_AT_ONCE = 3.0, 1000
#: Spaces that cannot be enumerated have more decisions, of which the same network needs more steps.
LARGE_STEPS = 2500
#: Draws of labels for the learning curve of a large table.
CURVE_SEEDS = 10
#: Partly masked copies of each calibration arch.
MASKED_COPIES = 4


@dataclass(frozen=True)
class SoftTargets:
    """Training data of a predictor. In each step, targets are drawn from Gaussians.

    Attributes:
        graphs: ``N`` decided graphs.
        mean: ``(N, m + described)`` normal scores of the metrics, NaN if unknown, and graph descriptors.
        std: the same shape, their uncertainty; 0 for measured values.
        may_be_masked: ``(N,)`` booleans: which graphs stand for uniform ones, over which the mean of a masked graph is;
            None for all.
    """

    graphs: GraphBatch
    mean: Tensor
    std: Tensor
    may_be_masked: Tensor | None = None


class PredictorModule(lightning.LightningModule):
    """Fits the Gaussian heads of all members to normal scores.

    The target of a masked graph is the score of the arch that it was made from, so that its predicted mean and variance
    become those of a random completion. The target after one of the arch's own choices is the same score. If slots are
    interchangeable, they are permuted at random, as generated graphs come in any order. The loss is
    :func:`gennas.predictors.losses.weighted_likelihood`, averaged over known metrics, plus an optional ranking loss on
    decided archs.
    """

    def __init__(
        self, space: Space, predictor: GNNPredictor, targets: SoftTargets, training: PredictorTraining
    ) -> None:
        super().__init__()
        self.space = space
        self.rng = np.random.default_rng(0)
        self.predictor = predictor
        self.targets = targets
        self.training_settings = training

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        rows, settings = batch[0].cpu(), self.training_settings
        graph = self.targets.graphs[rows].permuted(self.space, self.rng)
        mean, std = self.targets.mean[rows], self.targets.std[rows]
        target = (mean + std * torch.randn(mean.shape)).to(self.device)
        masked = graph.random_mask()
        masked &= torch.rand(len(rows), 1) < settings.masked_share
        if self.targets.may_be_masked is not None:
            masked &= self.targets.may_be_masked[rows][:, None]
        decisions = (
            torch.rand(masked.shape)
            .masked_fill(~masked, -1)
            .topk(min(masked.shape[1], self.predictor.trained_choices))
            .indices
        )
        made = graph.choices().gather(1, decisions)
        partly, on = graph.with_mask(masked).to(self.device), self.device
        # The graph as it is, then with each of these decisions made as in the original arch.
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
    """Trains and calibrates a predictor on some rows of the labels only.

    A network overfits few labels. With fewer than ``training.few``, it is distilled from :func:`fit_teacher` instead:
    trained on the teacher's means and stds for archs drawn from the whole space. With fewer than :data:`QUICK_LABELS`
    that network is a :class:`gennas.predictors.mlp.MLPPredictor`, with settings of its own; and of a chain, whose graph
    says nothing, such a network is trained on many labels, too.

    Raises:
        InvalidInputError: see :meth:`Labels.check`.
    """
    torch.manual_seed(seed)
    predictor: GNNPredictor
    if len(rows) < min(QUICK_LABELS, training.few):
        steps = LARGE_STEPS if space.size is None else QUICK_STEPS
        predictor = MLPPredictor(space.template, labels.metrics, described=NUM_DESCRIPTORS, sums=True)
        training = replace(few_label_training(training), steps=min(training.steps, steps), learning_rate=QUICK_RATE)
    elif space.template.is_chain:
        predictor = MLPPredictor(
            space.template, labels.metrics, members=training.members, described=NUM_DESCRIPTORS, sums=True
        )
    else:
        predictor = GNNPredictor(
            space.template, labels.metrics, training.width, training.layers, training.members, NUM_DESCRIPTORS
        )
    shuffled = np.random.default_rng(seed).permutation(rows)
    # A share of few labels would not calibrate anything, and would be missed in training.
    held_out = int(training.calibration_share * len(rows)) if len(rows) >= MIN_CALIBRATION_LABELS else 0
    calibration, train = shuffled[:held_out], shuffled[held_out:]
    labels.check(train)
    scores = predictor.scores.fit(labels.values[train])
    if len(train) < training.few:
        targets = distillation_targets(space, labels, train, seed=seed)
    else:
        graphs = labels.graphs[torch.from_numpy(train)]
        described = torch.from_numpy(
            describe(space, decided(graphs, space), sizing_task(labels.metrics, labels.input_shape))
        ).float()
        mean = torch.cat([scores, described], dim=1)
        targets = SoftTargets(graphs, mean, torch.zeros_like(mean))
    fit(
        PredictorModule(space, predictor, targets, training),
        title=f"training the {space.name} predictor on {len(rows):,} archs",
        size=len(targets.graphs),
        steps=training.steps,
        batch_size=training.batch_size,
        seed=seed,
        folder=folder,
    )
    predictor.cpu().eval()
    if held_out:
        calibrate(predictor, labels.graphs[torch.from_numpy(calibration)], labels.values[calibration])
    else:
        graphs = targets.graphs[torch.arange(min(len(targets.graphs), 1024))]
        with torch.inference_mode():
            predictor.decided_std.copy_(predictor.score(graphs)[1].median(0).values)
    return predictor


def distillation_targets(space: Space, labels: Labels, rows: np.ndarray, *, seed: int) -> SoftTargets:
    """The teacher's predictions for the labelled archs, and for archs drawn from the whole space.

    Where the labels of a metric have a choice in common, it is predicted for archs that have it too, and for no others.
    """
    domains = [labels.domain(space, name, rows) for name in labels.metrics]
    varied = varied_archs(space, DISTILLED_ARCHS // 2, seed)
    uniform = drawn_archs(space, DISTILLED_ARCHS - len(varied), seed)
    # Of metrics that have enough labels, no more archs are needed.
    lacking = (~np.isnan(labels.values[rows])).sum(axis=0) < DIRECT_LABELS
    domains_of_taught = [domain for domain, lacks in zip(domains, lacking, strict=True) if lacks]
    archs = [*decided(labels.graphs[torch.from_numpy(rows)], space), *_in_all(space, uniform, domains_of_taught)]
    maskable = len(archs)
    archs += _in_all(space, varied, domains_of_taught)
    task, extractor = sizing_task(labels.metrics, labels.input_shape), GraphFeatures(space)
    features, slots = extractor.of(archs, task), SlotFeatures(space).of(archs)
    teachers = []
    for name, column, domain in zip(labels.metrics, labels.values[rows].T, domains, strict=True):
        known = np.flatnonzero(~np.isnan(column))
        if len(known) >= DIRECT_LABELS:
            # Enough to learn from without a teacher.
            own = np.full(len(archs), np.nan)
            own[known] = normal_scores(column[known])
            teachers.append(TeacherPrediction(own, np.zeros(len(archs))))
            continue
        teacher = fit_teacher(
            features,
            known,
            column[known],
            num_simple=extractor.simple,
            seed=seed,
            slots=slots,
            noise=labels.noise.get(name),
        )
        teachers.append(replace(teacher, mean=np.where(domain.holds(space, archs), teacher.mean, np.nan)))
    descriptors = descriptors_of(features)
    mean = np.column_stack([*(teacher.mean for teacher in teachers), descriptors])
    std = np.column_stack([*(teacher.std for teacher in teachers), np.zeros_like(descriptors)])
    graphs = GraphBatch.from_archs(archs, space.template)
    may_be_masked = torch.arange(len(archs)) < maskable
    return SoftTargets(graphs, torch.from_numpy(mean).float(), torch.from_numpy(std).float(), may_be_masked)


def _in_all(space: Space, pool: Sequence[Arch], domains: Sequence[Domain]) -> list[Arch]:
    """Archs to learn metrics with these domains from: the pool itself, and what it becomes in each domain."""
    found = [] if all(domains) else list(pool)
    for domain in {repr(domain.fixed): domain for domain in domains if domain}.values():
        if pool:
            inside = GraphBatch.from_arrays(*domain.within(space, *space.arrays(pool)), space.template)
            found += decided(inside[torch.arange(len(inside))[: len(pool)]], space)
    return found


def drawn_archs(space: Space, count: int, seed: int) -> list[Arch]:
    """``count`` distinct random archs of a space; all of them if it has fewer."""
    rng = np.random.default_rng(seed)
    if space.size is None:
        return list(dict.fromkeys(space.sample(rng) for _ in range(count)))
    ops, edges = space.enumerate_graphs()
    rows = np.sort(rng.permutation(len(ops))[:count])
    return decided(GraphBatch.from_arrays(ops[rows], edges[rows], space.template), space)


def varied_archs(space: Space, count: int, seed: int) -> list[Arch]:
    """``count`` random archs that differ more from each other than uniform draws of a large space do.

    Of 20 blocks, uniform draws have about as many of every kind, and hardly ever the least depths, where a search may
    well look. Here each arch prefers some operations to others, by how much is drawn as well. None where the space does
    not know which choices go together (:meth:`gennas.spaces.Space.probabilities`), or can be enumerated.
    """
    template, rng = space.template, np.random.default_rng(seed)
    if space.size is not None or not space.is_exact or template.free_edges:
        return []
    n, k = len(template.slots), len(template.vocabulary)
    liked = rng.normal(size=(count, k)) * rng.uniform(0, MOST_PREFERENCE, size=(count, 1))
    ops = np.full((count, n), -1)
    for slot in range(n):
        possible = template.allowed[slot]
        if possible.sum() == 1:
            ops[:, slot] = possible.argmax()
            continue
        for rows in np.array_split(np.arange(count), 1 + count // VARIED_AT_ONCE):
            found = space.probabilities(ops[rows])
            assert found is not None
            gumbel = rng.gumbel(size=(len(rows), k))
            ops[rows, slot] = np.where(found[:, slot] > 0, liked[rows] + gumbel, -np.inf).argmax(axis=1)
    edges = np.repeat((template.edges == FIXED)[None], count, axis=0)
    return list(dict.fromkeys(decided(GraphBatch.from_arrays(ops, edges, template), space)))


def decided(graphs: GraphBatch, space: Space) -> list[Arch]:
    """The archs of decided graphs; invalid ones are left out."""
    return [arch for arch in graphs.to_archs(space) if arch is not None]


@torch.inference_mode()
def calibrate(predictor: GNNPredictor, graphs: GraphBatch, values: np.ndarray) -> None:
    """Calibrates a predictor on held-out archs, so that 90 % intervals cover 90 % of ``values (N, m)``.

    Split-conformal scaling (Papadopoulos et al. 2002) of ``|error| / std`` in normal scores, on which metrics with few
    distinct values have a scale too; separately for decided graphs and for the same graphs partly masked. The errors'
    distribution is fitted as well (:class:`gennas.predictors.conformal.Residuals`).
    """
    rng = torch.Generator().manual_seed(0)
    rows = torch.arange(len(graphs)).repeat(MASKED_COPIES)
    # Not by random_mask(), which draws the levels first: calibrations would change with the order.
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
    held_out_labels: int | None = None,
    curve_seeds: int | None = None,
    seed: int,
    out: Path,
) -> Predictor:
    """Trains a predictor on a whole table and writes it to ``out/predictor``.

    Another predictor is trained on ``held_out_labels`` archs only and tested on all others, for the held-out quality on
    the model card, which may also have a learning curve over ``curve_seeds`` draws of fewer labels. A predictor in
    ``out`` with the same settings is loaded, and an interrupted training resumes.

    Args:
        space: the space to train for.
        table: the table to train on.
        training: how to train.
        held_out_labels: training archs of the held-out predictor; see :meth:`Labels.split` for None.
        curve_seeds: draws of the learning curve; by default 10, or none from fewer than :data:`QUICK_LABELS` archs.
        seed: seed of all random numbers.
        out: folder of the checkpoint.

    Raises:
        StudyError: ``out`` contains a predictor with other settings.
        InvalidInputError: the table has fewer complete rows than ``held_out_labels``, or too few labels of a metric.
    """
    start = time.monotonic()
    settings = {
        "space": name_in_files(space),
        "table": table.identity,
        "training": asdict(training),
        "held_out_labels": held_out_labels,
        "curve_seeds": curve_seeds,
        "seed": seed,
    }
    # What is there is told first; what is refused leaves nothing behind.
    if "predictor" in parts_of(out) and not begin_part(out, "predictor", settings):
        return load_predictor(out)[0]
    labels = Labels.of(space, table)
    everything = np.arange(len(labels.values))
    labels.check(everything)
    rows, _ = labels.split(held_out_labels, seed)
    labels.check(rows)
    begin_part(out, "predictor", settings)
    held_out = held_out_quality(space, labels, few_label_training(training), len(rows), seed)
    predictor = fit_predictor(space, labels, everything, training, seed=seed, folder=out / "predictor")
    accuracy = next((name for name in labels.metrics if name.startswith("accuracy@")), labels.metrics[0])
    seeds = (CURVE_SEEDS if len(everything) >= QUICK_LABELS else 0) if curve_seeds is None else curve_seeds
    curve = learning_curve(space, labels, accuracy, sizing_task(labels.metrics, labels.input_shape), seeds=seeds)
    metrics = {
        "seconds": round(time.monotonic() - start, 1),
        "few_labels": curve,
        "held_out": {"labels": len(rows), "seed": seed, "metrics": held_out},
        "whole_table": {"labels": len(everything), "metrics": quality(predictor, labels, everything)},
    }
    found = {name: labels.domain(space, name, everything) for name in labels.metrics}
    domains = {name: domain.document() for name, domain in found.items() if domain}
    config = {
        "part": "predictor",
        "gennas": gennas.__version__,
        **settings,
        **({"domains": domains} if domains else {}),
        **({} if table.file is None else {"table_file": str(table.file)}),
        "skeleton": space.skeleton,
        "latency_input_shape": list(table.latency_input_shape),
        **predictor.described_by(),
    }
    predictor.save(out, config, metrics, predictor_card(config, metrics))
    return predictor


def few_label_training(training: PredictorTraining) -> PredictorTraining:
    """The same settings with the shorter training that distillation needs."""
    return replace(training, steps=min(training.steps, 1200), batch_size=min(training.batch_size, 256))


def held_out_quality(
    space: Space, labels: Labels, training: PredictorTraining, count: int, seed: int
) -> dict[str, dict[str, float]]:
    """Quality of a predictor trained on ``count`` random archs only, on all others."""
    rows, others = labels.split(count, seed)
    with TemporaryDirectory() as folder:
        predictor = fit_predictor(space, labels, rows, training, seed=seed, folder=Path(folder))
    return quality(predictor, labels, others)
