"""Studies for the tests of reports: written row by row, so that every number of the page is known."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gennas.spaces import get_space
from gennas.studies.records import Evaluation, Failure, Prediction, Proposed, Row, SessionRecord
from gennas.studies.study import Study
from gennas.tasks import get_task

CLASSES = 10


def config(objective: str = "accuracy@digits, -latency_ms@cpu", **others: Any) -> dict[str, Any]:
    """Settings as a search on digits has them."""
    task = get_task("digits")
    return {
        "space": {"name": "nasbench201", "skeleton": {"channels": 4, "cells": 1}},
        "task": {"name": "digits", "input_shape": list(task.input_shape), "images": task.splits().fingerprint},
        "objective": objective,
        "where": [],
        "method": "gennas",
        "table": None,
        "seed": 0,
        **others,
    }


def archs(count: int, seed: int = 0) -> list[str]:
    """Distinct keys."""
    space, rng = get_space("nasbench201"), np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[space.canonicalised([space.sample(rng)])[0].key] = None
    return list(found)


def rows_of(keys: list[str], seed: int = 0) -> list[Row]:
    """A search: random archs first, then archs with predictions, of which some are wrong; the third one fails."""
    rng, found = np.random.default_rng(seed), list[Row]()
    for number, key in enumerate(keys):
        is_first = number < 6
        by = "random" if is_first else ("generated", "mutated")[number % 2]
        found.append(Proposed(number=number, batch=number, arch=key, proposed_by=by))
        accuracy, latency = round(float(rng.uniform(0.6, 0.98)), 4), round(float(rng.uniform(0.2, 2.0)), 4)
        if not is_first:
            for name, value, width in (("accuracy@digits", accuracy, 0.05), ("latency_ms@cpu", latency, 0.1)):
                middle = value + width * float(rng.normal())
                found.append(Prediction(arch=key, metric=name, median=middle, low=middle - width, high=middle + width))
        if number == 2:
            failed = {"reason": "raised", "message": "training diverged: the loss is nan", "seconds": 1.5}
            found.append(Failure(arch=key, task="digits", metrics="accuracy@digits", **failed))
            continue
        about = {"arch": key, "space": "nasbench201", "task": "digits"}
        trained = {"source": "trained", "fidelity": 2, "recipe": "abc", "seconds": 3.25}
        found += [
            Evaluation(**about, metric="params_m", value=0.01 * (number + 1), source="computed"),
            Evaluation(**about, metric="accuracy@digits", value=accuracy, **trained),
            Evaluation(**about, metric="test_accuracy@digits", value=accuracy - 0.01, **trained),
            Evaluation(**about, metric="latency_ms@cpu", value=latency, source="measured", hardware="cpu", seconds=0.5),
        ]
    return found


def write_study(folder: Path, count: int = 24, settings: dict[str, Any] | None = None) -> list[str]:
    """A whole run; the keys of its archs are returned."""
    keys = archs(count)
    with Study.open(folder, settings or config()) as study:
        study.add([SessionRecord(command="gennas search --task digits --out runs/x"), *rows_of(keys)])
    return keys


def write_network(run: Path, key: str, class_names: list[str] | None = None) -> pd.DataFrame:
    """The files of a trained network that a page reads; the predictions are returned: every seventh is wrong."""
    folder = run / "networks" / sha256(key.encode()).hexdigest()[:12]
    folder.mkdir(parents=True)
    (folder / "network.onnx").write_bytes(b"onnx")
    names = class_names or [str(number) for number in range(CLASSES)]
    (folder / "arch.json").write_text(json.dumps({"key": key, "class_names": names}))
    curves = {
        "epoch": [1, 2, 3],
        "loss": [1.5, 0.7, 0.4],
        "learning_rate": [0.1, 0.05, 0.0],
        "val_accuracy": [None, 0.8, 0.857],
        "seconds": [1.0, 1.1, 0.9],
    }
    pd.DataFrame(curves).to_csv(folder / "training.csv", index=False)
    labels = get_task("digits").splits().val.labels
    rows = np.arange(len(labels))
    predicted = np.where(rows % 7 == 0, (labels + 1) % CLASSES, labels)
    sure = np.linspace(0.5, 0.99, len(labels))
    frame = pd.DataFrame(
        {
            "split": "val",
            "row": rows,
            "label": labels,
            "predicted": predicted,
            "confidence": sure,
            "label_probability": np.where(labels == predicted, sure, 1 - sure),
        }
    )
    both = pd.concat([frame, frame.head(5).assign(split="test", predicted=0)])
    both.to_parquet(folder / "predictions.parquet", index=False)
    return frame


def data_of(page: str) -> dict[str, Any]:
    """What the page's script reads."""
    text = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    found: dict[str, Any] = json.loads(text)
    return found
