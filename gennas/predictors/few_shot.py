"""Few-shot adaptation of a predictor to a new device or task, from a few archs evaluated there."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from gennas.arch import Arch
from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.hardware.measurements import Measurement, check_measurements
from gennas.predictors.base import Predictor
from gennas.predictors.basis import REFERENCE_ARCHS, BasisFunctions
from gennas.predictors.bayesian_regression import LinearTransfer, fit_transfer, informative_rows, leave_one_out
from gennas.predictors.conformal import StdScale
from gennas.predictors.gnn import GNNPredictor
from gennas.predictors.normal_scores import NormalScores
from gennas.predictors.quality import Z90, rank_correlation
from gennas.predictors.task_fit import KnownTasks, cross_validated, fit_task, scale_over_space, space_scores
from gennas.predictors.task_regression import TaskRegression, usual_task
from gennas.spaces import Space, space_option
from gennas.spaces.skeleton import skeleton_text

#: Evaluations needed for a leave-one-out rank correlation.
MIN_LEAVE_ONE_OUT = 5
#: Quantiles that stand for the distribution of a doubt.
_DOUBT_QUANTILES = 33
#: Leave-one-out rank correlation below which more measurements are advised, and how many hardly help any more.
GOOD_CORRELATION, ENOUGH_MEASUREMENTS = 0.9, 20


@dataclass(frozen=True)
class FewShotReport:
    """Cross-validated quality of an adapted predictor: each evaluation is predicted from others.

    Attributes:
        archs: number of evaluations.
        spearman: rank correlation of predictions and evaluations; nan with fewer than 5, or where either are all equal.
        relative_error: median of ``|predicted / measured - 1|``; nan for accuracies. The mean would be dominated by the
            one arch that ignores its input, which the others cannot predict.
        coverage90: share of the evaluations within their 90 % intervals; nan where those that the others predict are
            all equal: the one that differs, which could be missed, is not among them.
        advice: which further measurements would help, as a sentence; empty if they would hardly help.
    """

    archs: int
    spearman: float = float("nan")
    relative_error: float = float("nan")
    coverage90: float = float("nan")
    advice: str = ""

    @classmethod
    def of_logs(cls, basis: np.ndarray, logs: np.ndarray, prior: np.ndarray) -> FewShotReport:
        """The report for ``(k,)`` logarithms of latencies, by leaving out one at a time.

        ``basis`` and ``prior`` are those of :func:`gennas.predictors.bayesian_regression.fit_transfer`.
        """
        if len(logs) < 3 or np.ptp(logs) == 0:
            return cls(len(logs))
        predicted, std = leave_one_out(basis, logs, prior)
        report = cls.of_predictions(logs, predicted, std)
        return replace(report, relative_error=float(np.median(np.abs(np.expm1(predicted - logs)))))

    @classmethod
    def of_task(cls, inputs: np.ndarray, values: np.ndarray, known: KnownTasks) -> FewShotReport:
        """The report for ``(k,)`` accuracies; coverage is counted in units."""
        if len(values) < 3 or np.ptp(values) == 0:
            return cls(len(values))
        return cls.of_predictions(values, *cross_validated(inputs, values, known))

    @classmethod
    def of_predictions(cls, values: np.ndarray, predicted: np.ndarray, std: np.ndarray) -> FewShotReport:
        """The report for ``(k,)`` values and their held-out predictions; NaN where there is none."""
        ranked, has_std = ~np.isnan(predicted), ~np.isnan(std)
        covered = np.abs(predicted - values) <= Z90 * std
        found = cls(len(values))
        if len(values) >= MIN_LEAVE_ONE_OUT:
            found = replace(found, spearman=rank_correlation(predicted[ranked], values[ranked]))
        if has_std.any() and np.ptp(values[ranked]) > 0:
            found = replace(found, coverage90=float(covered[has_std].mean()))
        return found


class LinearRegression(nn.Module):
    """A linear transfer as a module.

    Args:
        transfer: the fitted regression.
    """

    weights: Tensor
    covariance: Tensor

    def __init__(self, transfer: LinearTransfer) -> None:
        super().__init__()
        self.noise = float(transfer.noise)
        self.register_buffer("weights", torch.from_numpy(transfer.coefficients).float())
        self.register_buffer("covariance", torch.from_numpy(transfer.covariance).float())

    def forward(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """``(...,)`` mean and variance of measurements, of ``(..., D)`` means of the basis functions: what these vary
        by over completions moves neither."""
        inputs = torch.cat([torch.ones_like(mean[..., :1]), mean], dim=-1)
        return inputs @ self.weights, ((inputs @ self.covariance) * inputs).sum(-1) + self.noise**2

    def slopes(self) -> Tensor:
        """``(D,)`` how much the mean changes with each basis function."""
        return self.weights[1:]


class TransferHead(nn.Module):
    """An additional metric: a regression on basis functions, and its scale.

    Args:
        basis: the basis functions.
        metric: name of the metric.
        transfer: the regression on the basis functions.
        own_scale: the scale on which the regression's values are standard normal over the space.
        units: ``(q,)`` the metric's values at the normal scores of the predictor's grid, not decreasing.
        std_scale: factors on the regression's std, if it is calibrated.
    """

    shares: Tensor

    def __init__(
        self,
        basis: BasisFunctions,
        metric: str,
        transfer: LinearTransfer | TaskRegression,
        own_scale: NormalScores,
        units: np.ndarray,
        std_scale: StdScale | None = None,
    ) -> None:
        super().__init__()
        self.std_scale = StdScale() if std_scale is None else std_scale
        self.basis, self.metric, self.error, self.own_scale = basis, metric, float(transfer.noise), own_scale
        self.units = torch.from_numpy(units).float()
        self.regression = (
            LinearRegression(transfer) if isinstance(transfer, LinearTransfer) else deepcopy(transfer).float()
        )
        slopes = self.regression.slopes()
        # Over completions the metric varies like the weighted average of its basis functions, up to a factor that
        # depends on how strongly these are correlated.
        changes, predicted_std = basis.masked()
        shares = slopes.abs() / slopes.abs().sum().clamp_min(1e-9)
        ratio = (changes @ slopes).abs() / (predicted_std @ shares).clamp_min(1e-6)
        open_graphs = (predicted_std @ shares) > 1e-3
        factor = ratio[open_graphs].quantile(0.9) / Z90 if open_graphs.any() else ratio.new_ones(())
        self.register_buffer("shares", shares * factor)

    def score(self, mean: Tensor, std: Tensor, undecided: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std in the metric's normal scores, both ``(b, q)``.

        Args:
            mean: ``(b, q, m + described)`` mean scores of the base predictor.
            std: their std, the same shape.
            undecided: ``(b, q)`` whether a graph is partly masked.
        """
        basis_mean, basis_std = self.basis.moments(mean, std)
        # Decided graphs have no completions. Errors of the basis functions there are part of the regression's own.
        open_std = torch.where(undecided[..., None], self.basis.completion_std(mean, basis_std), 0)
        completion_std = open_std @ self.shares
        value, own_variance = self.regression(basis_mean, open_std)
        variance = own_variance * self.std_scale(value).square() + completion_std.square()
        return space_scores(self.own_scale, value, variance.sqrt())

    def noise(self) -> Tensor:
        """Std in normal scores that remains for a decided arch, a scalar."""
        values = self.own_scale.values[0]
        return values.new_tensor(self.error / max(float(values.std()), 1e-6))


class AdaptedPredictor(Predictor):
    """A trained predictor with additional metrics, each a regression on its own.

    The expectation of a sum is the sum of expectations, so linear terms hold for partly masked graphs too; others have
    expectations of their own, see :class:`gennas.predictors.task_regression.TaskRegression`.

    Args:
        base: the trained predictor.
        heads: the additional metrics; they replace metrics of the base with the same name.
    """

    def __init__(self, base: Predictor, heads: Sequence[TransferHead]) -> None:
        super().__init__()
        self.base, self.template = base, base.template
        self._heads = nn.ModuleList(heads)
        added = [head.metric for head in heads]
        self.kept = [column for column, name in enumerate(base.metrics) if name not in added]
        self.metrics = (*(base.metrics[column] for column in self.kept), *added)
        self.scores = NormalScores(len(self.metrics))
        self.scores.grid.copy_(base.scores.grid)
        self.scores.values.copy_(torch.stack([*base.scores.values[self.kept], *(head.units for head in heads)]))

    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.base.score_everything(graph, decisions)
        # The first entry is the graph as it is; the others have one more decision made.
        made = torch.arange(mean.shape[1], device=mean.device).clamp_max(1)
        undecided = graph.masked_decisions().sum(1, keepdim=True) > made
        means, stds = [mean[..., self.kept]], [std[..., self.kept]]
        for head in self.heads:
            new_mean, new_std = head.score(mean, std, undecided)
            means.append(new_mean[..., None])
            stds.append(new_std[..., None])
        return torch.cat(means, dim=-1), torch.cat(stds, dim=-1)

    @property
    def heads(self) -> list[TransferHead]:
        """The additional metrics."""
        return [head for head in self._heads if isinstance(head, TransferHead)]

    def noise(self) -> Tensor:
        return torch.cat([self.base.noise()[self.kept], *(head.noise()[None] for head in self.heads)])

    def satisfaction_quantile(self, metric: int, mean: Tensor, margin: Tensor) -> Tensor:
        return margin if metric >= len(self.kept) else self.base.satisfaction_quantile(self.kept[metric], mean, margin)


def adapt_hardware(
    predictor: Predictor, space: Space, name: str, archs: Sequence[Arch], latency_ms: np.ndarray, doubt: float = 0.0
) -> tuple[Predictor, FewShotReport]:
    """Adds ``latency_ms@name`` to a predictor, from a few measurements and its predictions for other devices.

    Args:
        predictor: a trained predictor, possibly adapted already.
        space: space of the archs.
        name: name of the device.
        archs: ``k`` measured archs, at least 3.
        latency_ms: ``(k,)`` their latencies, positive and not all equal.
        doubt: std of what all latencies together may be off by, in logarithms.

    Returns:
        The adapted predictor, and its leave-one-out quality.

    Raises:
        InvalidInputError: the predictor does not support adaptation, or the measurements are not valid.
    """
    source = f"hardware {name!r}"
    if len(archs) != len(latency_ms):
        raise InvalidInputError(f"{source}: {len(latency_ms)} latencies of {len(archs)} archs; expected one per arch.")
    measurements = [Measurement(arch.key, float(latency)) for arch, latency in zip(archs, latency_ms, strict=True)]
    check_measurements(measurements, source, space)
    basis = BasisFunctions(_trained(predictor), space, "latency_ms")
    logs, inputs = np.log(np.asarray(latency_ms, dtype=float)), basis.of(archs)
    transfer = fit_transfer(inputs, logs, basis.prior_means)
    transfer = replace(transfer, noise=float(np.hypot(transfer.noise, doubt)))
    own_scale = scale_over_space(transfer, basis.reference)
    if doubt:
        # What all archs have in doubt reaches beyond the space's fastest and slowest arch, where a scale ends.
        quantiles = norm.ppf((np.arange(_DOUBT_QUANTILES) + 0.5) / _DOUBT_QUANTILES)
        own_scale = NormalScores(1)
        mean = transfer.mean(basis.reference)
        own_scale.fit((mean[:, None] + transfer.noise * quantiles).reshape(-1, 1), lower=-np.inf)
    units = own_scale.value_of(0, basis.predictor.scores.grid).double().exp().numpy()
    adapted = _with(predictor, TransferHead(basis, f"latency_ms@{name}", transfer, own_scale, units))
    report = FewShotReport.of_logs(inputs, logs, basis.prior_means)
    return adapted, replace(report, advice=_advice(report, space))


def adapt_task(
    predictor: Predictor, space: Space, name: str, archs: Sequence[Arch], accuracy: np.ndarray
) -> tuple[Predictor, FewShotReport]:
    """Adds ``accuracy@name`` to a predictor, from a few evaluations and its predictions for other tasks.

    Args:
        predictor: a trained predictor, possibly adapted already.
        space: space of the archs.
        name: name of the task.
        archs: ``k`` evaluated archs, possibly none.
        accuracy: ``(k,)`` their accuracies, as fractions.

    Returns:
        The adapted predictor, and its cross-validated quality.

    Raises:
        InvalidInputError: the predictor does not support adaptation.
    """
    basis = BasisFunctions(_trained(predictor), space, "accuracy")
    values = np.asarray(accuracy, dtype=float)
    inputs = basis.of(archs) if len(archs) else np.empty((0, len(basis.columns)))
    known = known_tasks(basis)
    fit = fit_task(inputs, values, known)
    head = TransferHead(basis, f"accuracy@{name}", fit.transfer, fit.own_scale, fit.units, fit.std_scale)
    return _with(predictor, head), FewShotReport.of_task(inputs, values, known)


def known_tasks(basis: BasisFunctions) -> KnownTasks:
    """What a predictor's tasks say about any other."""
    scores, columns = basis.predictor.scores, basis.columns[: basis.num_metrics].tolist()
    units = scores.values[columns].double().numpy().mean(axis=0) if columns else None
    known = KnownTasks(basis.reference, basis.prior, scores.grid.double().numpy(), units)
    if basis.num_metrics < 2:
        return known
    # Evaluations have the noise that predictions lack.
    std = (basis.predictor.noise()[columns] / basis.scale[: basis.num_metrics]).double().detach().numpy()
    predicted = basis.reference[:, : basis.num_metrics]
    evaluated = predicted + std * np.random.default_rng(0).normal(size=predicted.shape)
    return replace(known, usual=usual_task(basis.reference, evaluated))


def informative_archs(predictor: Predictor, space: Space, n: int, *, seed: int) -> list[Arch]:
    """Up to ``n`` archs whose latencies say the most about a new device; the sixth, if any, is constant.

    Raises:
        InvalidInputError: the predictor does not support adaptation.
    """
    basis = BasisFunctions(_trained(predictor), space, "latency_ms")
    rng = np.random.default_rng(seed)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(REFERENCE_ARCHS)))
    constant = np.array([space.is_constant(arch) for arch in archs])
    return [archs[row] for row in informative_rows(basis.of(archs), n, constant)]


def _trained(predictor: Predictor) -> GNNPredictor:
    base = predictor.base if isinstance(predictor, AdaptedPredictor) else predictor
    if not isinstance(base, GNNPredictor):
        raise InvalidInputError(
            f"{type(predictor).__name__} does not support few-shot adaptation; use a trained GNNPredictor."
        )
    return base


def _advice(report: FewShotReport, space: Space) -> str:
    count, spearman = report.archs, report.spearman
    more = command("hardware", "choose", space=space_option(space), n=ENOUGH_MEASUREMENTS)
    if space.skeleton != type(space).with_skeleton("").skeleton:
        # `choose` names archs alone; of these networks a bundle has the files.
        skeleton = skeleton_text(space.skeleton)
        where = {"space": space_option(space), "skeleton": skeleton, "n": ENOUGH_MEASUREMENTS}
        more = command("hardware", "bundle", "DEVICE", out="bundle.zip", **where)
    if count < MIN_LEAVE_ONE_OUT:
        return f"{count} measurements are too few to estimate the error; choose 10 or more archs with: {more}"
    if np.isnan(spearman):
        return f"all archs are predicted alike, so that they cannot be ranked; measure others, chosen with: {more}"
    if spearman < GOOD_CORRELATION and count < ENOUGH_MEASUREMENTS:
        return f"leave-one-out rank correlation is low ({spearman:.2f}); measure more archs, chosen with: {more}"
    if spearman < GOOD_CORRELATION:
        return (
            f"leave-one-out rank correlation is low ({spearman:.2f}) even with {count} measurements: the measurements "
            "are noisy, or the device behaves unlike any known one. Repeat the measurements."
        )
    return ""


def _with(predictor: Predictor, head: TransferHead) -> AdaptedPredictor:
    """The predictor with one more metric, which replaces one of the same name."""
    heads = predictor.heads if isinstance(predictor, AdaptedPredictor) else []
    kept = [other for other in heads if other.metric != head.metric]
    return AdaptedPredictor(head.basis.predictor, [*kept, head]).eval()
