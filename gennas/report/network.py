"""The folder of a trained network: how it was trained, which classes it takes for which, and its worst mistakes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gennas.documents import read_json
from gennas.errors import GennasError
from gennas.report.figures import COLOURS, Figure, layout
from gennas.report.run import Run
from gennas.training.network_files import FACTS, PREDICTIONS
from gennas.training.progress_log import CSV

#: Mistakes that are shown, and the longest side of their thumbnails in pixels.
SHOWN, SIDE = 24, 96
#: Classes up to which a confusion matrix has numbers in its cells.
_WITH_NUMBERS = 20
#: Classes of a confusion matrix that are shown; a million cells would make a page of 30 MB that nobody reads.
MOST_CLASSES = 60
_CURVES, _SCORE = ("epoch", "loss"), "val_"
_PREDICTIONS = ("split", "row", "label", "predicted", "label_probability", "confidence")


@dataclass(frozen=True)
class Mistake:
    """An image of another class than the network says.

    Attributes:
        picture: the image as a data URI; empty where it is not at hand.
        label: name of its class.
        predicted: name of the class that the network says.
        confidence: the probability that it gives that class.
        row: index of the image among the validation images.
    """

    picture: str
    label: str
    predicted: str
    confidence: float
    row: int


@dataclass(frozen=True, eq=False)
class NetworkReport:
    """What the folder of one network holds.

    Attributes:
        key: of its arch.
        folder: of the network.
        facts: of ``arch.json``.
        curves: ``training.csv``; None where there is none.
        confusion: ``(C, C)`` validation images by class and predicted class; None where predictions are not stored.
        classes: ``C`` names.
        mistakes: the worst of all: those whose class got the least probability first.
        missing: what is not there, in sentences.
    """

    key: str
    folder: Path
    facts: dict[str, Any]
    curves: pd.DataFrame | None
    confusion: np.ndarray | None
    classes: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    missing: tuple[str, ...]

    @classmethod
    def of(cls, run: Run, key: str) -> NetworkReport | None:
        """Reads the folder of an arch's network, as far as it can be read; None where there is none."""
        folder = run.network_folder(key)
        if folder is None:
            return None
        missing = []
        facts = _facts(folder / FACTS)
        curves = _curves(folder / CSV)
        if curves is None:
            missing.append("no training.csv in the network's folder, so there are no training curves.")
        predictions = _predictions(folder / PREDICTIONS)
        confusion, mistakes = None, tuple[Mistake, ...]()
        classes = _classes(run, facts, predictions)
        if predictions is None and facts.get("targets"):
            missing.append("confusion and mistakes are of classes; predictions.parquet has what was answered instead.")
        elif predictions is None:
            missing.append("no predictions.parquet in the network's folder, so its mistakes are not known.")
        else:
            confusion = np.zeros((len(classes), len(classes)), dtype=int)
            np.add.at(confusion, (predictions["label"].to_numpy(), predictions["predicted"].to_numpy()), 1)
            images, reason = _images(run)
            if images is not None and len(images) != len(predictions):
                images, reason = None, "the task's validation images are others than those of the training"
            mistakes = _mistakes(predictions, classes, images)
            if mistakes and reason:
                missing.append(f"mistakes are shown without their images: {reason}.")
        return cls(key, folder, facts, curves, confusion, classes, mistakes, tuple(missing))

    @property
    def accuracy(self) -> float | None:
        """The share of the validation images on the diagonal."""
        if self.confusion is None or not self.confusion.sum():
            return None
        return float(np.trace(self.confusion) / self.confusion.sum())

    def curve_figures(self) -> list[Figure]:
        """Loss and accuracy over the epochs."""
        if self.curves is None:
            return []
        found = []
        score = next(str(name) for name in self.curves if str(name).startswith(_SCORE))
        titles = (("loss", "training loss"), (score, f"validation {score.removeprefix(_SCORE).replace('_', ' ')}"))
        for place, (column, title) in enumerate(titles):
            known = self.curves[self.curves[column].notna()]
            # A single point is no curve: not every recipe looks at the validation images after every epoch.
            if len(known) < 2:
                continue
            trace = {
                "type": "scatter",
                "mode": "lines+markers",
                "x": known["epoch"].tolist(),
                "y": known[column].tolist(),
                "line": {"color": COLOURS[place], "width": 2},
                "hovertemplate": f"epoch %{{x}}: {title} %{{y:.4g}}<extra></extra>",
                "showlegend": False,
            }
            end = f"{title} over {len(known)} epochs, {known[column].iloc[-1]:.4g} at the end."
            found.append(
                Figure(
                    f"curve-{place}",
                    end,
                    [trace],
                    layout("epoch", title, 300, x={"dtick": max(1, round(len(self.curves) / 8))}),
                )
            )
        return found

    @cached_property
    def shown_confusion(self) -> tuple[tuple[str, ...], np.ndarray] | None:
        """Names of classes, and ``(c, c)`` images; of very many classes those with most mistakes, then all others."""
        if self.confusion is None or len(self.classes) <= MOST_CLASSES:
            return None if self.confusion is None else (self.classes, self.confusion)
        wrong = self.confusion.sum(0) + self.confusion.sum(1) - 2 * np.diag(self.confusion)
        chosen = np.sort(np.argsort(-wrong, kind="stable")[: MOST_CLASSES - 1])
        others = np.setdiff1d(np.arange(len(self.classes)), chosen)
        # (c, C): which of the lines that are shown a class belongs to.
        member = np.zeros((len(chosen) + 1, len(self.classes)), dtype=int)
        member[np.arange(len(chosen)), chosen] = 1
        member[-1, others] = 1
        names = (*(self.classes[index] for index in chosen), f"{len(others)} others")
        return names, member @ self.confusion @ member.T

    def confusion_figure(self) -> Figure | None:
        """Rows are classes, columns what the network says; colours are shares of the row."""
        if self.confusion is None or self.shown_confusion is None:
            return None
        classes, counts = self.shown_confusion
        shares = counts / counts.sum(1, keepdims=True).clip(1)
        names = _distinct(classes)
        trace: dict[str, Any] = {
            "type": "heatmap",
            "x": names,
            "y": names,
            "z": shares.round(4).tolist(),
            "text": counts.tolist(),
            # Lightness alone orders it: printed in grey it says the same.
            "colorscale": [[0, "#ffffff"], [0.02, "#e3ecf5"], [0.5, "#7aa3cc"], [1, "#24507f"]],
            "zmin": 0,
            "zmax": 1,
            "colorbar": {"title": {"text": "share"}, "thickness": 10, "outlinewidth": 0},
            "hovertemplate": "%{y} taken for %{x}: %{text} images<extra></extra>",
        }
        if len(names) <= _WITH_NUMBERS:
            trace["texttemplate"] = "%{text}"
        shape = layout(
            "predicted class",
            "class",
            min(max(280, 130 + 26 * len(names)), 760),
            x={"type": "category", "showgrid": False, "automargin": "height"},
            y={"type": "category", "autorange": "reversed", "showgrid": False},
        )
        right = int(np.trace(self.confusion))
        label = (
            f"Confusion matrix of {self.confusion.sum()} validation images, of which {right} are classified correctly."
        )
        return Figure("confusion", label, [trace], shape)


def _facts(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
        return dict(found) if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _curves(path: Path) -> pd.DataFrame | None:
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError):
        return None
    score = [name for name in frame.columns if str(name).startswith(_SCORE)]
    if not set(_CURVES) <= set(frame.columns) or not score or not len(frame):
        return None
    numeric = frame[[*_CURVES, score[0]]].apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    return numeric if numeric["epoch"].notna().all() else None


def _predictions(path: Path) -> pd.DataFrame | None:
    """Those of validation images, in the order of these."""
    try:
        frame = pd.read_parquet(path, columns=list(_PREDICTIONS))
    except (OSError, ValueError, KeyError):
        return None
    own = frame[frame["split"] == "val"]
    whole = len(own) and own[["row", "label", "predicted"]].min().min() >= 0
    return own.sort_values("row") if whole else None


def _classes(run: Run, facts: dict[str, Any], predictions: pd.DataFrame | None) -> tuple[str, ...]:
    stored = facts.get("class_names")
    names = [str(name) for name in stored] if isinstance(stored, list) else []
    if not names and run.task is not None:
        names = list(run.task.class_names)
    most = 0 if predictions is None else int(predictions[["label", "predicted"]].max().max()) + 1
    return (*names, *(str(number) for number in range(len(names), most)))


def _distinct(names: tuple[str, ...]) -> list[str]:
    """An axis of categories would draw two of one name as one."""
    found: list[str] = []
    for name in names:
        short = name if len(name) <= 18 else f"{name[:16]}..."
        found.append(short if short not in found else f"{short} ({len(found)})")
    return found


def _images(run: Run) -> tuple[np.ndarray | None, str]:
    """The validation images, or why they are not at hand."""
    stored = run.config.get("task")
    known = stored.get("images") if isinstance(stored, dict) else None
    if run.task is None or not run.task.has_images:
        return None, "the task's images are not at hand; name them with `task`"
    try:
        splits = run.task.splits()
    except GennasError as error:
        return None, str(error).rstrip(".")
    if known is not None and splits.fingerprint != known:
        return None, "the images of the task are others than those of the study"
    return splits.val.images, ""


def _mistakes(predictions: pd.DataFrame, classes: tuple[str, ...], images: np.ndarray | None) -> tuple[Mistake, ...]:
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    worst = wrong.sort_values(["label_probability", "confidence", "row"], ascending=[True, False, True]).head(SHOWN)
    columns = (
        worst["row"].tolist(),
        worst["label"].tolist(),
        worst["predicted"].tolist(),
        worst["confidence"].tolist(),
    )
    return tuple(
        Mistake(
            thumbnail(images[row]) if images is not None and row < len(images) else "",
            classes[label],
            classes[predicted],
            float(confidence),
            row,
        )
        for row, label, predicted, confidence in zip(*columns, strict=True)
    )


def thumbnail(image: np.ndarray) -> str:
    """An image ``(c, h, w)`` of uint8 as a data URI; large ones are made smaller and compressed."""
    from PIL import Image

    planes = image[:3] if len(image) >= 3 else image[:1]
    pixels = np.moveaxis(planes, 0, -1)
    picture = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
    form = "PNG" if max(picture.size) <= SIDE // 2 else "JPEG"
    picture.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    picture.save(content, form, **({"quality": 80} if form == "JPEG" else {}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
