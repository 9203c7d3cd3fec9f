"""What is measured of quantised networks can be learnt and predicted as everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from gennas.graph import GraphBatch
from gennas.predictors import load_predictor
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import train_predictor
from gennas.spaces import get_space
from gennas.tables import Table
from gennas.tasks import get_task

QUICK = PredictorTraining(steps=150, batch_size=64, learning_rate=1e-2, width=16, layers=2, members=1, few=0)


def test_metrics_of_int8_are_learnt(tmp_path: Path) -> None:
    space, task, rng = get_space("nasbench201"), get_task("cifar10"), np.random.default_rng(0)
    archs = list({arch.key: arch for arch in (space.sample(rng) for _ in range(320))}.values())
    macs = np.array([space.costs(arch, task)["macs_m"] for arch in archs])
    frame = pd.DataFrame(
        {
            "accuracy_int8@cifar10": 0.5 + 0.4 * macs / macs.max(),
            "latency_ms@cpu-int8": 1 + 0.1 * macs,
            "peak_memory_mb": 0.2 + macs / 1000,
        },
        index=pd.Index([arch.key for arch in archs], name="key"),
    )
    table = Table("int8", "nasbench201", frame, {}, ())
    train_predictor(space, table, QUICK, curve_seeds=0, seed=0, out=tmp_path)
    predictor, _ = load_predictor(tmp_path)
    assert set(predictor.metrics) == set(frame.columns)
    seen = {arch.key for arch in archs}
    others = [arch for arch in (space.sample(rng) for _ in range(150)) if arch.key not in seen]
    mean, _ = predictor.predict(GraphBatch.from_archs(others, space.template))
    truth = [space.costs(arch, task)["macs_m"] for arch in others]
    for column in range(3):
        assert spearmanr(mean[:, column].detach().numpy(), truth).statistic > 0.7
