"""The basis of archs: a few functions of the arch whose combinations are what a task may prefer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Self

import numpy as np
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

from gennas.arch import Arch
from gennas.predictors.features import GraphFeatures
from gennas.predictors.slot_features import SlotFeatures
from gennas.spaces import Space
from gennas.tasks import Task

#: Random archs that stand for the space.
REFERENCE = 512
#: Functions of the basis, at most.
WIDTH = 48
#: The kernel's scale relative to the median distance of two archs.
LENGTH = 1.5


class ArchBasis:
    """``p`` functions of the arch, with mean 0 over the space and decreasing variances that add up to 1.

    They are the first eigenfunctions of a Matern 5/2 kernel of graph features, by the method of Nystroem (Williams and
    Seeger, NIPS 2000): a combination with independent standard normal weights is a draw of that Gaussian process.

    Args:
        space: of the archs.
        task: sizes the networks whose costs are among the features.
        reference: ``(N, f)`` features of random archs.
        projection: ``(N, p)`` from kernel values to functions.
        centre: ``(p,)`` their means over the space.
    """

    def __init__(
        self, space: Space, task: Task, reference: np.ndarray, projection: np.ndarray, centre: np.ndarray
    ) -> None:
        self.space, self.task = space, task
        self.reference, self.projection, self.centre = reference, projection, centre
        self._graphs, self._slots = GraphFeatures(space), SlotFeatures(space)
        std = reference.std(axis=0)
        self._varies = std > 1e-9
        self._mean, self._std = reference.mean(axis=0)[self._varies], std[self._varies]
        self._points = self._standardised(reference)
        self._length = LENGTH * float(np.median(pdist(self._points)))

    @cached_property
    def reference_values(self) -> np.ndarray:
        """``(N, p)`` values of the functions at the archs that stand for the space."""
        values: np.ndarray = self._kernel(self._points) @ self.projection - self.centre
        return values

    @cached_property
    def every(self) -> tuple[tuple[Arch, ...], np.ndarray]:
        """All archs of a space that is small enough for it, and ``(N, p)`` values of the functions at them."""
        archs = tuple(self.space.enumerate())
        return archs, self.of(archs)

    @property
    def variances(self) -> np.ndarray:
        """``(p,)`` variances of the functions over the space."""
        variances: np.ndarray = self.reference_values.var(axis=0)
        return variances

    @classmethod
    def of_space(cls, space: Space, task: Task, width: int = WIDTH) -> Self:
        """The basis of a space; the same for every call."""
        rng = np.random.default_rng(0)
        archs = list(dict.fromkeys(space.sample(rng) for _ in range(REFERENCE)))
        graphs, slots = GraphFeatures(space), SlotFeatures(space)
        features = np.hstack([graphs.of(archs, task), slots.of(archs).values])
        empty = cls(space, task, features, np.eye(len(archs)), np.zeros(len(archs)))
        kernel = empty._kernel(empty._points)
        values, vectors = np.linalg.eigh(kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean())
        first = np.argsort(values)[::-1][:width]
        first = first[values[first] > 1e-6 * values.max()]
        vectors = vectors[:, first] * np.sign(vectors[np.abs(vectors[:, first]).argmax(axis=0), first])
        # Functions are weighted sums of kernel values; the centring is that of the reference.
        centred = vectors - vectors.mean(axis=0)
        projection = centred / np.sqrt(values[first])
        functions = kernel @ projection
        projection = projection / np.sqrt(functions.var(axis=0).sum())
        return cls(space, task, features, projection, (kernel @ projection).mean(axis=0))

    @property
    def width(self) -> int:
        """How many functions."""
        return self.projection.shape[1]

    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, p)`` values of the functions at some archs."""
        features = np.hstack([self._graphs.of(archs, self.task), self._slots.of(archs).values])
        return self._kernel(self._standardised(features)) @ self.projection - self.centre

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`of_tensors` needs."""
        arrays = {"reference": self.reference, "projection": self.projection, "centre": self.centre}
        return {f"basis.{name}": torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    @classmethod
    def of_tensors(cls, space: Space, task: Task, tensors: Mapping[str, Tensor]) -> Self:
        """The basis that :meth:`tensors` wrote."""
        return cls(space, task, *(tensors[f"basis.{name}"].numpy() for name in ("reference", "projection", "centre")))

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        standardised: np.ndarray = (features[:, self._varies] - self._mean) / self._std
        return standardised

    def _kernel(self, points: np.ndarray) -> np.ndarray:
        squares = np.square(points).sum(axis=1)[:, None] + np.square(self._points).sum(axis=1)
        # Half as slow as cdist, and exact enough: no two archs are nearly the same.
        distances = np.sqrt((squares - 2 * points @ self._points.T).clip(0))
        scaled = np.sqrt(5) * distances / self._length
        kernel: np.ndarray = (1 + scaled + np.square(scaled) / 3) * np.exp(-scaled)
        return kernel
