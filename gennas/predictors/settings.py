"""Settings of predictor training, in a module of their own so that the command line need not import torch."""

from dataclasses import asdict, dataclass
from typing import Literal

from gennas.errors import InvalidInputError


@dataclass(frozen=True)
class PredictorTraining:
    """How a predictor is trained.

    Args:
        steps: optimiser steps.
        batch_size: archs per step.
        learning_rate: peak of a one-cycle schedule (AdamW).
        masked_share: share of a batch that is partly masked, each arch at a random level; the rest is decided.
        calibration_share: share of the labelled archs that is held out to calibrate the std.
        width: features per node.
        layers: rounds of message passing.
        members: networks in the ensemble.
        ranking: ranking loss on decided archs, added to the likelihood: pairwise, list_mle or none.
        ranking_weight: weight of the ranking loss, relative to the likelihood.
        few: with fewer labels than this, the network is distilled from a teacher model that suits few labels.
    """

    steps: int = 5000
    batch_size: int = 512
    learning_rate: float = 2e-3
    masked_share: float = 0.5
    calibration_share: float = 0.1
    width: int = 64
    layers: int = 4
    members: int = 2
    ranking: Literal["none", "pairwise", "list_mle"] = "none"
    ranking_weight: float = 0.3
    few: int = 5000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name == "ranking" or (name == "few" and value >= 0):
                continue
            if value <= 0 or (name.endswith("share") and value >= 1):
                expected = "a number between 0 and 1" if name.endswith("share") else "a positive number"
                raise InvalidInputError(f"is {value}; expected {expected}.", argument=f"training.{name}")
