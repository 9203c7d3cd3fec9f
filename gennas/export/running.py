"""Running ONNX models: their outputs for images."""

from __future__ import annotations

import numpy as np
import torch

#: Images at a time, for models that take any number.
_BATCH = 64


def logits(document: bytes, images: np.ndarray) -> np.ndarray:
    """``(n, classes)`` float32 outputs of an ONNX model on the processor, with as many threads as torch uses.

    Args:
        document: model with one input ``(batch, c, h, w)``; where its batch is fixed, images are run that many at a
            time. A model without inputs has the same outputs for all images.
        images: ``(n, c, h, w)`` float32, n >= 1.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(document, options, providers=["CPUExecutionProvider"])
    if not session.get_inputs():
        return np.repeat(session.run(None, {})[0][:1], len(images), axis=0)
    entry = session.get_inputs()[0]
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else min(_BATCH, len(images))
    # The last batch is filled up from the beginning.
    rows = np.resize(np.arange(len(images)), -(-len(images) // batch) * batch).reshape(-1, batch)
    outputs = [session.run(None, {entry.name: images[chosen]})[0] for chosen in rows]
    return np.concatenate(outputs)[: len(images)]


def accuracy(document: bytes, images: np.ndarray, labels: np.ndarray) -> float:
    """The fraction of images that an ONNX model classifies correctly; arguments as of :func:`logits`."""
    return float((logits(document, images).argmax(axis=1) == labels).mean())
