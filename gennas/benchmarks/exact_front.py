"""Several objectives: the exact Pareto front of a table, and how much of its hypervolume a run has found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.pareto import hypervolume, pareto

#: By which share of the front's range the reference point lies beyond its nadir.
BEYOND = 0.1


@dataclass(frozen=True, eq=False)
class Front:
    """The exact front of all archs of a table.

    Volumes are those of the metrics in their own units, e.g. accuracy as a fraction and latency in ms: a share of the
    exact front's volume does not change with the units, and nothing has to be chosen. (Logarithms of latencies would
    weigh the fast and useless end of a front more.) The reference point is the nadir of the exact front, the worst
    value that each metric has on it, and a tenth of the front's range beyond: so the ends of the front count too, as
    Ishibuchi et al., "How to Specify a Reference Point in Hypervolume Calculation for Fair Performance Comparison",
    Evolutionary Computation 2018, advise, and archs that are worse than the whole front in a metric count nothing.

    Attributes:
        gains: ``(F, m)`` the front, larger is better, each point once.
        reference: ``(m,)``.
        volume: of the front.
    """

    gains: np.ndarray
    reference: np.ndarray
    volume: float

    @classmethod
    def of(cls, gains: np.ndarray) -> Front:
        """By brute force over all archs.

        Args:
            gains: ``(N, m)`` of every arch that may be chosen, larger is better; rows with NaN are left out.
        """
        front = np.unique(pareto(gains[~np.isnan(gains).any(1)]), axis=0)
        nadir, ideal = front.min(0), front.max(0)
        # A front of one point has no range; without one its volume would be nothing.
        reach = np.where(ideal > nadir, ideal - nadir, np.abs(ideal).clip(1e-9))
        reference = nadir - BEYOND * reach
        return cls(front, reference, hypervolume(front, reference))

    def share(self, gains: np.ndarray) -> float:
        """The hypervolume of some archs ``(N, m)`` over that of the exact front, 0 to 1."""
        return hypervolume(gains[~np.isnan(gains).any(1)], self.reference) / self.volume

    def shares(self, gains: np.ndarray) -> np.ndarray:
        """``(N,)`` the share that the first 1, 2, ... of the archs have."""
        found = np.zeros(len(gains))
        front, share = gains[:0], 0.0
        for row, gain in enumerate(gains):
            counts = not np.isnan(gain).any() and bool((gain > self.reference).all())
            # What does not change the front does not change the volume.
            if counts and not (front >= gain).all(1).any():
                front = pareto(np.vstack([front, gain]))
                share = self.share(front)
            found[row] = share
        return found
