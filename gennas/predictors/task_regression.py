"""A new task's Gaussian process over what a predictor says of archs, decided or partly masked."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from gennas.predictors.basis import DESCRIPTOR_SCALE
from gennas.predictors.gaussian_process import PlainLinearKernel, log_normal, spread_rows
from gennas.predictors.new_task import OFFSET, Hyperparameters, NewTask, TaskPrior
from gennas.predictors.task_kernel import rank_noise

#: Labels beyond which hyperparameters are fitted to so many, and others than so many are left out, spread evenly over
#: their ranks: each draw of hyperparameters is cubic in their number, and each prediction linear.
FITTED_TO, KEPT = 120, 600


class TaskRegression(nn.Module):
    """:class:`gennas.predictors.task_kernel.TaskKernel` of ``T`` predicted tasks, and a linear kernel of descriptors.

    Over completions of a masked graph the predicted tasks are Gaussian, so that the covariance with an evaluated arch
    has an expectation in closed form: linear terms take the mean, and each factor of the exponential widens.

    Args:
        at: ``(k, D)`` basis functions at the evaluated archs, the tasks' first.
        labels: ``(k,)`` their normal scores, by ranks.
        found: the hyperparameters.
        scale: how far the mean of the tasks repeats.
    """

    at: Tensor
    solved: Tensor
    precision: Tensor
    variances: Tensor

    def __init__(self, at: np.ndarray, labels: np.ndarray, found: Hyperparameters, scale: float) -> None:
        super().__init__()
        self.tasks, self.scale, self.size, self.size_std = len(found.tasks), scale, found.size, found.size_std
        # A value's score among few labels is known as roughly as theirs are.
        noise = found.noise + rank_noise(len(labels), share=1.0)
        variances = np.array([found.arch, found.shared, found.behaviour, noise, *found.tasks])
        self.register_buffer("at", torch.from_numpy(at))
        self.register_buffer("variances", torch.from_numpy(variances))
        own = self._cross(self.at, torch.zeros_like(self.at)) + self.variances[3] * torch.eye(len(at))
        self.register_buffer("precision", torch.linalg.inv(own))
        errors = torch.from_numpy(labels) / self.size - self._expected(self.at)
        self.register_buffer("solved", self.precision @ errors)
        self._labels = torch.from_numpy(labels)

    @classmethod
    def fit(cls, inputs: np.ndarray, labels: np.ndarray, tasks: int, prior: TaskPrior) -> Self:
        """Hyperparameters as :class:`gennas.predictors.new_task.NewTask` finds them.

        Args:
            inputs: ``(k, D)`` basis functions, the tasks' first.
            labels: ``(k,)`` scores.
            tasks: how many of the functions are tasks.
            prior: what is usual of a new task.
        """
        described = inputs[:, tasks:]
        kernel, width = _of_descriptors(described.shape[1])
        new = NewTask(kernel, described, inputs[:, :tasks], prior=prior)
        few, kept = (spread_rows(torch.from_numpy(labels), count).numpy() for count in (FITTED_TO, KEPT))
        found = new.hyperparameters(few, labels[few], rank_share=1.0)
        return cls(inputs[kept], labels[kept], replace(found, arch=found.arch / width), prior.scale)

    def forward(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """``(...,)`` mean and variance of the scores of evaluations, noise included.

        Args:
            mean: ``(..., D)`` basis functions.
            std: ``(..., D)`` what they vary by over completions; 0 of decided graphs.
        """
        arch, shared, behaviour, noise = self.variances[:4].unbind()
        cross = self._cross(mean, std)
        tasks, described = mean[..., : self.tasks], mean[..., self.tasks :]
        own = arch * described.square().sum(-1) + shared * tasks.mean(-1).square() + behaviour + OFFSET
        own = own + (tasks.square() * self.variances[4:]).sum(-1)
        variance = own - ((cross @ self.precision) * cross).sum(-1)
        value = self._expected(mean) + cross @ self.solved
        variance = variance.clamp_min(1e-8) + noise + (self.size_std * value).square()
        return self.size * value, self.size**2 * variance

    @torch.no_grad()
    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` mean and std of the scores of evaluations at ``(N, D)`` basis functions of decided archs."""
        points = torch.from_numpy(inputs).to(self.at)
        mean, variance = self(points, torch.zeros_like(points))
        return mean.numpy(), variance.sqrt().numpy()

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """``(N,)`` mean scores at ``(N, D)`` basis functions of decided archs."""
        return self.predict(inputs)[0]

    @property
    def noise(self) -> float:
        """Std of an evaluation's score that nothing explains."""
        return self.size * float(self.variances[3].sqrt())

    def slopes(self) -> Tensor:
        """``(D,)`` how much the mean changes with each basis function, over the evaluated archs on average."""
        at = self.at.clone().requires_grad_()
        with torch.enable_grad():
            (found,) = torch.autograd.grad(self(at, torch.zeros_like(at))[0].mean(), at)
        return found.sum(0).detach()

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """``(k,)`` mean of each label as the others predict it, and how many stds it is off, in closed form (Rasmussen
        and Williams 2006, equations 5.10 to 5.12)."""
        precision = self.precision.diagonal()
        mean = self._labels - self.size * self.solved / precision
        std = (self.size**2 / precision + (self.size_std * mean).square()).sqrt()
        return mean.numpy(), ((self._labels - mean).abs() / std).numpy()

    def _expected(self, mean: Tensor) -> Tensor:
        return self.scale * mean[..., : self.tasks].mean(-1)

    def _cross(self, mean: Tensor, std: Tensor) -> Tensor:
        """``(..., k)`` covariances with the evaluated archs."""
        arch, shared, behaviour, _ = self.variances[:4].unbind()
        tasks, known = mean[..., : self.tasks], self.at[:, : self.tasks]
        linear = arch * mean[..., self.tasks :] @ self.at[:, self.tasks :].T + OFFSET
        linear = linear + (tasks * self.variances[4:]) @ known.T
        linear = linear + shared * tasks.mean(-1)[..., None] * known.mean(-1)
        widened = 1 + std[..., : self.tasks].square() / self.tasks
        weighed = tasks / widened
        apart = (weighed * tasks).sum(-1)[..., None] - 2 * weighed @ known.T + widened.reciprocal() @ known.square().T
        logs = -(apart.clamp_min(0) / self.tasks + widened.log().sum(-1)[..., None]) / 2
        return linear + behaviour * logs.exp()


def usual_task(inputs: np.ndarray, values: np.ndarray) -> TaskPrior:
    """What is usual of a new task, as the known ones show that are predicted.

    Args:
        inputs: ``(N, D)`` basis functions at some archs, the ``T`` tasks' first.
        values: ``(N, T)`` what evaluations would give there.
    """
    tasks = values.shape[1]
    kernel, _ = _of_descriptors(inputs.shape[1] - tasks)
    return TaskPrior.learnt(kernel, inputs[:, tasks:], inputs[:, :tasks], values)


def _of_descriptors(count: int) -> tuple[PlainLinearKernel, float]:
    """A linear kernel with variance about 1, and what it divides products by."""
    kernel, width = PlainLinearKernel(range(count), log_normal(1.0, 1.0)), max(count, 1) * DESCRIPTOR_SCALE**2
    kernel.variance = 1 / width
    return kernel, width
