"""Tells of image files what an exported network answers: classes, labels or values; needs onnxruntime, numpy, Pillow.

In an exported folder this is predict.py, with the functions of gennas.tasks.decoding and gennas.tasks.targets.reading
in it: images are read as they were read for the training.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gennas.tasks.decoding import UnreadableError, decode
from gennas.tasks.targets.reading import READINGS

#: Images that the network is given at a time.
BATCH = 64
#: Precision -> file of the model.
MODELS = {"float32": "network.onnx", "int8": "network_int8.onnx"}


class Classifier:
    """The network of an exported folder, on one thread.

    Args:
        folder: with network.onnx, labels.txt and preprocess.json.
        precision: float32, or int8 where the folder has network_int8.onnx.

    Raises:
        OSError, ValueError, KeyError: a file is missing or damaged.
    """

    def __init__(self, folder: Path, precision: str = "float32") -> None:
        import onnxruntime

        facts = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
        _, self.channels, self.height, self.width = facts["shape"]
        if self.channels not in (1, 3) or self.height != self.width:
            raise ValueError(f"image files are not read for inputs of shape {facts['shape'][1:]}")
        self.input, self.output = facts["input"], facts["output"]
        self.mean = np.array(facts["mean"], np.float32)[:, None, None]
        self.std = np.array(facts["std"], np.float32)[:, None, None]
        #: What is asked of an image, by default a class.
        self.targets: dict[str, Any] = facts.get("targets") or {"reading": "classes"}
        self.reading = READINGS[self.targets["reading"]]
        self.labels = (folder / "labels.txt").read_text(encoding="utf-8").split("\n")[:-1]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            model = (folder / MODELS[precision]).read_bytes()
            self.session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        except OSError:
            raise
        except Exception as error:
            # onnxruntime raises exceptions of its own.
            raise ValueError(f"{MODELS[precision]} cannot be used: {' '.join(str(error).split())}") from error

    def read(self, path: str) -> np.ndarray:
        """An image file as pixels ``(channels, height, width)`` uint8.

        Raises:
            UnreadableError: it cannot be used; the message says why.
        """
        pixels = decode(path, self.height).pixels
        if self.channels == 3:
            return pixels
        # The luma of ITU-R 601, as Pillow makes grey of colour.
        weights = np.array([19595, 38470, 7471], np.uint32)[:, None, None]
        return ((pixels * weights).sum(0, keepdims=True) + 0x8000 >> 16).astype(np.uint8)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """``(b, channels, height, width)`` uint8 to ``(b, classes)`` logits."""
        images = (pixels.astype(np.float32) / np.float32(255) - self.mean) / self.std
        logits: np.ndarray = self.session.run([self.output], {self.input: images})[0]
        return logits

    def classify(self, paths: Sequence[str], top: int = 1) -> list[dict[str, Any]]:
        """One dict per file: ``file``, ``class``, ``probability``, and the ``top`` classes; or ``file`` and ``error``.

        Of networks for several labels ``labels`` and ``probabilities``, of those for values ``values``, in the place of
        classes.

        Args:
            paths: of image files.
            top: how many of the most probable classes are listed.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, len(paths), BATCH):
            rows, pixels = list[dict[str, Any]](), list[np.ndarray]()
            for path in paths[start : start + BATCH]:
                found.append({"file": path})
                try:
                    pixels.append(self.read(path))
                    rows.append(found[-1])
                except UnreadableError as error:
                    found[-1]["error"] = str(error)
            if rows:
                told = self.reading.rows(self.logits(np.stack(pixels)), self.labels, self.targets, top)
                for row, one in zip(rows, told, strict=True):
                    row |= one
        return found


def main(words: Sequence[str] | None = None) -> int:
    """Prints a line per file: its class and probability, or labels or values, separated by tabs; or JSON.

    Returns:
        0; 1 where some files cannot be used; 2 where none can, or the folder cannot.
    """
    parser = argparse.ArgumentParser(description="Tells of image files what the network answers.")
    parser.add_argument("images", nargs="+", help="image files")
    parser.add_argument("--top", type=int, default=1, help="how many of the most probable classes to print")
    parser.add_argument("--precision", choices=[*MODELS], default="float32", help="int8 where the folder has it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(words)
    folder = Path(__file__).resolve().parent
    try:
        classifier = Classifier(folder, options.precision)
        results = classifier.classify(options.images, options.top)
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {folder} is not a complete export: {error}", file=sys.stderr)
        return 2
    good = [result for result in results if "error" not in result]
    for result in results:
        if "error" in result:
            print(f"error: {result['file']}: {result['error']}", file=sys.stderr)
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        for result in good:
            told = [f"{name}\t{number}" for name, number in classifier.reading.shown(result)]
            print("\t".join([result["file"], *told]))
    if len(good) == len(results):
        return 0
    return 1 if good else 2


if __name__ == "__main__":
    sys.exit(main())
