"""What a training leaves beside its network: the log, the events, the predictions and the facts agree."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gennas import __version__
from gennas.evaluators.train import Trained, TrainEvaluator
from gennas.spaces import get_space
from gennas.tasks import get_task
from gennas.training.recipe import Recipe

KEY = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
RECIPE = Recipe(epochs=4, batch_size=128, val_every=2, warmup_epochs=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    space, task = get_space("nasbench201", "channels=4,cells=1"), get_task("digits", image_size=8)
    evaluator = TrainEvaluator(space, RECIPE, tmp_path_factory.mktemp("networks"), lambda line: None)
    done = evaluator.train(space.parse(KEY), task=task, seed=3)
    return done, evaluator.network_folder(space.parse(KEY))


def test_the_log_has_a_row_per_epoch(trained: tuple[Trained, Path]) -> None:
    done, folder = trained
    log = pd.read_csv(folder / "training.csv")
    assert list(log.columns) == ["epoch", "loss", "learning_rate", "val_accuracy", "seconds"]
    assert log["epoch"].tolist() == [1, 2, 3, 4]
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]
    # In the middle of the last of 9 steps of each epoch.
    expected = [0.003 * RECIPE.learning_rate_factor(epoch - 0.5 / 9) for epoch in range(1, 5)]
    assert log["learning_rate"].tolist() == pytest.approx(expected)
    assert log["val_accuracy"].isna().tolist() == [True, False, True, False]
    assert log["val_accuracy"].iloc[-1] == done.metrics["accuracy@digits"]
    assert log["seconds"].sum() == pytest.approx(done.seconds)


def test_tensorboard_reads_the_same(trained: tuple[Trained, Path]) -> None:
    _, folder = trained
    log = pd.read_csv(folder / "training.csv")
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["loss/train", "learning_rate", "accuracy/val"]
    for tag, column in (("loss/train", "loss"), ("learning_rate", "learning_rate"), ("accuracy/val", "val_accuracy")):
        known = log.dropna(subset=[column])
        found = events.Scalars(tag)
        assert [one.step for one in found] == known["epoch"].tolist()
        assert [one.value for one in found] == pytest.approx(known[column].tolist(), rel=1e-5)


def test_predictions_give_the_metrics(trained: tuple[Trained, Path]) -> None:
    done, folder = trained
    frame = pd.read_parquet(folder / "predictions.parquet")
    splits = get_task("digits", image_size=8).splits()
    for name, prefix, split in (("val", "", splits.val), ("test", "test_", splits.test)):
        rows = frame[frame["split"] == name]
        assert split is not None
        assert rows["row"].tolist() == list(range(len(split)))
        assert np.array_equal(rows["label"], split.labels)
        assert (rows["label"] == rows["predicted"]).mean() == done.metrics[f"{prefix}accuracy@digits"]
        recalls = (rows["label"] == rows["predicted"]).groupby(rows["label"]).mean()
        assert recalls.mean() == pytest.approx(done.metrics[f"{prefix}balanced_accuracy@digits"])
        right = rows[rows["label"] == rows["predicted"]]
        assert np.array_equal(right["confidence"], right["label_probability"])
        assert rows["confidence"].between(0.1, 1.0).all()


def test_the_facts_say_how_it_was_trained(trained: tuple[Trained, Path]) -> None:
    done, folder = trained
    facts = json.loads((folder / "arch.json").read_text())
    assert Recipe.of(facts["recipe"]) == Recipe(epochs=4, batch_size=128, val_every=2, warmup_epochs=1, seed=3)
    assert facts["recipe_hash"] == Recipe.of(facts["recipe"]).hash
    assert (facts["seed"], facts["epochs"], facts["notes"]) == (3, 4, [])
    assert facts["metrics"] == done.metrics
    assert facts["seconds"] == pytest.approx(done.seconds)
    assert facts["versions"] == {"gennas": __version__, "torch": torch.__version__}
