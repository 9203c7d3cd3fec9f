"""Rank aggregation of several scores, as in AZ-NAS."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

#: The scores that the paper aggregates; multiply-adds are its complexity score.
AZ_NAS = ("expressivity", "progressivity", "trainability", "macs_m")


def rank_aggregate(frame: pd.DataFrame, columns: Sequence[str] = AZ_NAS) -> np.ndarray:
    """Lee and Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024.

    ``sum_s log(rank_s / m)`` over the scores s, with rank 1 for the worst of m archs and mean ranks for ties: one bad
    score is not made up for by others. Undefined scores (nan) rank last.

    Args:
        frame: one row per arch, one column per score; higher is better.
        columns: the scores to aggregate.

    Returns:
        ``(m,)`` scores, at most 0; comparable only among these archs.
    """
    scores = frame[list(columns)].to_numpy(dtype=float)
    ranks = rankdata(np.where(np.isnan(scores), -np.inf, scores), axis=0)
    return np.log(ranks / max(len(frame), 1)).sum(axis=1)
