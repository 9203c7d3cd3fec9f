"""AZ-NAS: one rank out of several scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

#: The scores that the paper assembles; multiply-adds are its complexity.
AZ_NAS = ("expressivity", "progressivity", "trainability", "macs_m")


def rank_aggregate(frame: pd.DataFrame, columns: Sequence[str] = AZ_NAS) -> np.ndarray:
    """Lee and Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024.

    ``sum_s log(rank_s / m)`` over the scores s, with rank 1 for the worst of m archs and the mean rank for equal ones:
    an arch that is bad at one thing is not saved by another. What is not defined (nan) is the worst.

    Args:
        frame: one row per arch, one column per score; higher is better.
        columns: the scores to assemble.

    Returns:
        ``(m,)``, at most 0; meaningful among these archs only.
    """
    scores = frame[list(columns)].to_numpy(dtype=float)
    ranks = rankdata(np.where(np.isnan(scores), -np.inf, scores), axis=0)
    return np.log(ranks / max(len(frame), 1)).sum(axis=1)
