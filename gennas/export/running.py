"""Running ONNX models on the processor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

#: Images at a time, for models that take any number.
_BATCH = 64


class OnnxModel:
    """An ONNX model, ready to run.

    Args:
        document: model with at most one input, ``(batch, c, h, w)``. Without any, it has the same outputs for all
            images.
        threads: for one operation; as many as torch uses by default.
    """

    def __init__(self, document: bytes, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(document, options, providers=["CPUExecutionProvider"])
        self.inputs = self.session.get_inputs()

    def logits(self, images: np.ndarray) -> np.ndarray:
        """``(n, classes)`` float32 outputs for ``(n, c, h, w)`` float32 images; n >= 1.

        Where the model's batch is fixed, images run that many at a time.
        """
        if not self.inputs:
            return np.repeat(self.session.run(None, {})[0][:1], len(images), axis=0)
        fixed = self.inputs[0].shape[0]
        batch = fixed if isinstance(fixed, int) else min(_BATCH, len(images))
        # The last batch is filled up from the beginning.
        rows = np.resize(np.arange(len(images)), -(-len(images) // batch) * batch).reshape(-1, batch)
        outputs = [self.session.run(None, {self.inputs[0].name: images[chosen]})[0] for chosen in rows]
        return np.concatenate(outputs)[: len(images)]

    def run_on(self, image: np.ndarray) -> Callable[[], object]:
        """A function that runs the model once, on an image ``(1, c, h, w)``."""
        feed = {entry.name: image for entry in self.inputs}
        return lambda: self.session.run(None, feed)
