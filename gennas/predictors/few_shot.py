"""A predictor told of a new task or a new device by a few archs that were evaluated there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.hardware.measurements import Measurement, check_measurements, defect_of
from gennas.predictors.base import Predictor
from gennas.predictors.basis import _NODES, _WEIGHTS, REFERENCE, BasisFunctions, _like
from gennas.predictors.bayesian_regression import (
    USUAL_TAU,
    LinearTransfer,
    fit_transfer,
    informative_rows,
    leave_one_out,
)
from gennas.predictors.gnn import GNNPredictor
from gennas.predictors.normal_scores import NormalScores, normal_scores
from gennas.predictors.quality import Z90
from gennas.spaces import Space

#: Archs from which on each is tested by the others.
TESTED = 5
#: Leave-one-out rank correlation below which more measurements are advised, and from how many on they hardly help.
DOUBTFUL, ENOUGH = 0.9, 20


@dataclass(frozen=True)
class FewShotReport:
    """How well a few evaluations determine the rest: each is foretold from the others.

    Attributes:
        archs: evaluations used.
        spearman: rank correlation of what is foretold with what was evaluated; nan with fewer than 5.
        relative_error: median of |foretold / measured - 1|; nan for accuracies. The mean would be that of the one arch
            that ignores its input, of which the others say nothing.
        coverage90: share of the evaluations within their 90 % intervals.
        advice: a sentence on which further measurements would help; empty if they would hardly.
    """

    archs: int
    spearman: float = float("nan")
    relative_error: float = float("nan")
    coverage90: float = float("nan")
    advice: str = ""

    @classmethod
    def of(cls, known: np.ndarray, values: np.ndarray, prior: np.ndarray, *, logs: bool) -> FewShotReport:
        """Of ``(k,)`` normal scores, or ``logs`` of latencies; see
        :func:`gennas.predictors.bayesian_regression.fit_transfer`."""
        if len(values) < 3 or np.ptp(values) == 0:
            return cls(len(values))
        left, std = leave_one_out(known, values, prior)
        error, sure = left - values, ~np.isnan(std)
        return cls(
            archs=len(values),
            spearman=float(spearmanr(left, values).statistic) if len(values) >= TESTED else float("nan"),
            # On the scale of normal scores no error is relative.
            relative_error=float(np.median(np.abs(np.expm1(error)))) if logs else float("nan"),
            coverage90=float((np.abs(error) <= Z90 * std)[sure].mean()) if sure.any() else float("nan"),
        )


class TransferHead(nn.Module):
    """One more metric: a mix of known functions, and how its values are scaled.

    Args:
        known: the functions that are mixed.
        metric: its name.
        mix: what the few values say.
        own_scale: on which the mix's values are standard normal over the space.
        units: ``(q,)`` the metric at the normal scores of the predictor's grid, not decreasing.
    """

    weights: Tensor
    covariance: Tensor
    shares: Tensor

    def __init__(
        self, known: BasisFunctions, metric: str, mix: LinearTransfer, own_scale: NormalScores, units: np.ndarray
    ) -> None:
        super().__init__()
        self.known, self.metric, self.error, self.own_scale = known, metric, float(mix.noise), own_scale
        self.units = torch.from_numpy(units).float()
        self.register_buffer("weights", torch.from_numpy(mix.coefficients).float())
        self.register_buffer("covariance", torch.from_numpy(mix.covariance).float())
        # The mix varies over completions as its functions do on average, by a factor that says how alike they are.
        lacking, claimed = known.masked()
        shares = self.weights[1:].abs() / self.weights[1:].abs().sum().clamp_min(1e-9)
        ratio = (lacking @ self.weights[1:]).abs() / (claimed @ shares).clamp_min(1e-6)
        open_graphs = (claimed @ shares) > 1e-3
        factor = ratio[open_graphs].quantile(0.9) / Z90 if open_graphs.any() else ratio.new_ones(())
        self.register_buffer("shares", shares * factor)

    def score(self, mean: Tensor, std: Tensor, undecided: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std in the metric's normal scores, ``(b, q)``.

        Args:
            mean: ``(b, q, m + described)`` scores of what is known.
            std: their std, the same shape.
            undecided: ``(b, q)`` which graphs are partly masked.
        """
        value, spread = self.known.moments(mean, std)
        inputs = torch.cat([torch.ones_like(value[..., :1]), value], dim=-1)
        # Whole graphs have no completions; what errs there the mix has seen, and counts as its own error.
        completions = torch.where(undecided, self.known.completions(mean, spread) @ self.shares, 0)
        variance = ((inputs @ self.covariance) * inputs).sum(-1) + completions.square() + self.error**2
        nodes, weights = _like(_NODES, mean), _like(_WEIGHTS, mean)
        at = (inputs @ self.weights)[..., None] + variance.clamp_min(1e-12).sqrt()[..., None] * nodes
        scores = self.own_scale.scores_of(0, at)
        placed = (scores * weights).sum(-1)
        return placed, ((scores - placed[..., None]).square() * weights).sum(-1).sqrt().clamp_min(1e-3)

    def noise(self) -> Tensor:
        """The std in normal scores that remains for a decided arch, a scalar."""
        spread = self.own_scale.values[0]
        return spread.new_tensor(self.error / max(float(spread.std()), 1e-6))


class AdaptedPredictor(Predictor):
    """A predictor with more metrics, each a mix of what it knows.

    Expectations of sums are sums of expectations, so that partly masked graphs are told as whole ones are.

    Args:
        base: the predictor that was trained.
        additions: the other metrics; those of the base that have the name of one are left out.
    """

    def __init__(self, base: GNNPredictor, additions: Sequence[TransferHead]) -> None:
        super().__init__()
        self.base, self.template = base, base.template
        self.additions = nn.ModuleList(additions)
        added = [addition.metric for addition in additions]
        self.kept = [column for column, name in enumerate(base.metrics) if name not in added]
        self.metrics = (*(base.metrics[column] for column in self.kept), *added)
        self.scores = NormalScores(len(self.metrics))
        self.scores.grid.copy_(base.scores.grid)
        self.scores.values.copy_(
            torch.stack([*base.scores.values[self.kept], *(addition.units for addition in additions)])
        )

    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.base.score_everything(graph, decisions)
        made = torch.arange(mean.shape[1], device=mean.device).clamp_max(1)
        undecided = graph.masked_decisions().sum(1, keepdim=True) > made
        means, stds = [mean[..., self.kept]], [std[..., self.kept]]
        for addition in self.added:
            new_mean, new_std = addition.score(mean, std, undecided)
            means.append(new_mean[..., None])
            stds.append(new_std[..., None])
        return torch.cat(means, dim=-1), torch.cat(stds, dim=-1)

    @property
    def added(self) -> list[TransferHead]:
        return [addition for addition in self.additions if isinstance(addition, TransferHead)]

    def noise(self) -> Tensor:
        return torch.cat([self.base.noise()[self.kept], *(addition.noise()[None] for addition in self.added)])

    def satisfaction_quantile(self, metric: int, mean: Tensor, margin: Tensor) -> Tensor:
        return margin if metric >= len(self.kept) else self.base.satisfaction_quantile(self.kept[metric], mean, margin)


def adapt_hardware(
    predictor: Predictor, space: Space, name: str, archs: Sequence[Arch], latency_ms: np.ndarray
) -> tuple[Predictor, FewShotReport]:
    """A predictor that also knows ``latency_ms@name``, from a few measurements and all known devices.

    Args:
        predictor: of a checkpoint.
        space: of the archs.
        name: of the device.
        archs: ``k`` measured archs.
        latency_ms: ``(k,)`` their latencies, positive and not all equal; at least 3.

    Raises:
        InvalidInputError: the predictor cannot learn devices, or nothing can be learnt from these measurements.
    """
    where = f"hardware {name!r}"
    if len(archs) != len(latency_ms):
        raise InvalidInputError(f"{where}: {len(latency_ms)} latencies of {len(archs)} archs; expected one each.")
    measured = [Measurement(arch.key, float(latency)) for arch, latency in zip(archs, latency_ms, strict=True)]
    for each in measured:
        if defect := defect_of(each.latency_ms):
            raise InvalidInputError(f"{where}, arch {each.key!r}: {defect}.")
    check_measurements(measured, where)
    known = BasisFunctions(_learning(predictor), space, "latency_ms")
    logs, inputs = np.log(np.asarray(latency_ms, dtype=float)), known.of(archs)
    mix = fit_transfer(inputs, logs, known.prior)
    own_scale = _scale_of(known, mix)
    units = own_scale.value_of(0, known.predictor.scores.grid).double().exp().numpy()
    adapted = _with(predictor, TransferHead(known, f"latency_ms@{name}", mix, own_scale, units))
    report = FewShotReport.of(inputs, logs, known.prior, logs=True)
    return adapted, replace(report, advice=_advice(report, space.name))


def adapt_task(
    predictor: Predictor, space: Space, name: str, archs: Sequence[Arch], accuracy: np.ndarray
) -> tuple[Predictor, FewShotReport]:
    """A predictor that also knows ``accuracy@name``, from a few evaluations and all known tasks.

    Args:
        predictor: of a checkpoint.
        space: of the archs.
        name: of the task.
        archs: ``k`` evaluated archs; there may be none.
        accuracy: ``(k,)`` their accuracies, fractions.

    Raises:
        InvalidInputError: the predictor cannot learn tasks.
    """
    base = _learning(predictor)
    known = BasisFunctions(base, space, "accuracy")
    values = np.asarray(accuracy, dtype=float)
    scores, inputs = normal_scores(values), known.of(archs) if len(archs) else np.empty((0, len(known.columns)))
    mix = task_transfer(inputs, values, known.prior)
    own_scale = _scale_of(known, mix)
    # The mean of the known tasks' scales, moved to where the evaluated archs are.
    columns = known.columns[: known.known].tolist()
    grid, scales = base.scores.grid.double().numpy(), base.scores.values[columns].double().numpy()
    # Where no task is known, any straight line serves.
    units = scales.mean(axis=0) if columns else np.linspace(0, 1, len(grid))
    if len(values) >= 3 and np.ptp(values) > 0:
        at = torch.from_numpy(mix.mean(inputs)).float()
        foretold = np.interp(own_scale.scores_of(0, at).double().numpy(), grid, units)
        factor = values.std() / max(foretold.std(), 1e-6)
        units = values.mean() + factor * (units - foretold.mean())
    adapted = _with(predictor, TransferHead(known, f"accuracy@{name}", mix, own_scale, np.clip(units, 0, 1)))
    return adapted, FewShotReport.of(inputs, scores, known.prior, logs=False)


def task_transfer(inputs: np.ndarray, values: np.ndarray, prior: np.ndarray) -> LinearTransfer:
    """What ``(k,)`` evaluations at ``(k, D)`` known functions say of a new task; fewer than two differing ones
    nothing."""
    if len(values) < 2 or np.ptp(values) == 0:
        spread = USUAL_TAU**2 * np.eye(1 + len(prior))
        return LinearTransfer(np.array([0.0, *prior]), spread, 0.5)
    return fit_transfer(inputs, normal_scores(values), prior)


def informative_archs(predictor: Predictor, space: Space, n: int, *, seed: int) -> list[Arch]:
    """Up to ``n`` archs of a space whose measurements tell most about an unknown device; from six on one is constant.

    Raises:
        InvalidInputError: the predictor cannot learn devices.
    """
    known = BasisFunctions(_learning(predictor), space, "latency_ms")
    rng = np.random.default_rng(seed)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(REFERENCE)))
    constant = np.array([space.is_constant(arch) for arch in archs])
    return [archs[row] for row in informative_rows(known.of(archs), n, constant)]


def _learning(predictor: Predictor) -> GNNPredictor:
    base = predictor.base if isinstance(predictor, AdaptedPredictor) else predictor
    if not isinstance(base, GNNPredictor):
        raise InvalidInputError(f"a {type(predictor).__name__} cannot be told of new places; take a trained predictor.")
    return base


def _advice(report: FewShotReport, space: str) -> str:
    count, spearman = report.archs, report.spearman
    more = f"gennas hardware choose --space {space} -n {ENOUGH}"
    if count < TESTED:
        return f"{count} measurements are too few to test each by the others; 10 well-chosen ones do: {more}"
    if spearman < DOUBTFUL and count < ENOUGH:
        return f"the measurements foretell each other badly (rank correlation {spearman:.2f}); add more: {more}"
    if spearman < DOUBTFUL:
        return (
            f"even {count} measurements foretell each other badly (rank correlation {spearman:.2f}): this device is "
            "like none that is known, or its measurements are noisy; repeat them."
        )
    return ""


def _with(predictor: Predictor, addition: TransferHead) -> AdaptedPredictor:
    """A predictor with one more metric; one of the same name makes room."""
    before = predictor.added if isinstance(predictor, AdaptedPredictor) else []
    kept = [other for other in before if other.metric != addition.metric]
    return AdaptedPredictor(addition.known.predictor, [*kept, addition]).eval()


def _scale_of(known: BasisFunctions, mix: LinearTransfer) -> NormalScores:
    """The scale on which a mix's values are standard normal over the space; it goes on beyond what was drawn of it."""
    scale = NormalScores(1)
    scale.fit(mix.mean(known.of(known.archs))[:, None], lower=-np.inf)
    return scale
