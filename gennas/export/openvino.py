"""OpenVINO IR of an exported network: ``network_openvino.xml`` and ``.bin``; needs gennas[openvino]."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gennas.errors import InvalidInputError
from gennas.export.agreement import IMAGES, Difference
from gennas.export.onnx import LOGITS
from gennas.export.trained import KeptNetwork

_FILE = "network_openvino.xml"


def write_openvino(trained: KeptNetwork, document: bytes, folder: Path) -> str:
    """Writes the IR, with weights in float32, and holds what it computes against the trained network.

    Args:
        trained: the network.
        document: its ONNX model, which is in ``folder`` as ``network.onnx``, too.
        folder: for the files.

    Returns:
        A sentence for the card.

    Raises:
        InvalidInputError: OpenVINO is not installed, cannot read the model, or computes something else.
    """
    try:
        import openvino
    except ImportError as error:
        raise InvalidInputError(
            "openvino is not installed; run: pip install 'gennas[openvino]'", argument="formats"
        ) from error
    try:
        model = openvino.convert_model(folder / "network.onnx")
        openvino.save_model(model, folder / _FILE, compress_to_fp16=False)
        # What was written, not what is in memory. By default kernels may round to 16 bits where the processor can.
        precise = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        compiled = openvino.Core().compile_model(folder / _FILE, "CPU", precise)
    except RuntimeError as error:
        raise InvalidInputError(
            f"OpenVINO cannot use the network: {' '.join(str(error).split())}. Nothing was exported."
        ) from error
    images = trained.check_images(IMAGES)
    found = np.asarray(compiled(images)[compiled.output(LOGITS)])
    difference = Difference.between(trained.logits(images), found)
    difference.expect_small(_FILE)
    return (
        f"`{_FILE}` with its `.bin` is the network for OpenVINO {openvino.__version__.partition('-')[0]}, in float32; "
        f"its logits are {difference.largest:.2g} apart at most."
    )
