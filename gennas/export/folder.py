"""export_network: a folder with a trained network in forms that run without gennas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gennas.documents import read_json
from gennas.errors import InvalidInputError
from gennas.export.agreement import IMAGES, Difference, clean_logits, expect_input, onnx_logits
from gennas.export.card import Number, card
from gennas.export.onnx import to_onnx
from gennas.export.preprocessing import with_preprocessing
from gennas.export.script import predict_script
from gennas.export.source import network_source
from gennas.export.trained import KeptNetwork
from gennas.files import replacing_folder, write_bytes, write_json, write_safetensors, write_text

#: Marks the ``arch.json`` of an export.
_FACTS, _MADE_BY = "arch.json", "gennas export"
#: What predict.py needs; the oldest versions that gennas itself runs with.
_REQUIREMENTS = """\
# predict.py
onnxruntime>=1.18
numpy>=1.26
Pillow>=10
# network.py needs torch, and safetensors for the weights
"""

#: Another form of a network: writes files to the folder, given the ONNX model, and returns a sentence for the card.
Form = Callable[[KeptNetwork, bytes, Path], str]


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        folder: that holds the files.
        files: their names.
        differences: form -> how far its logits are from those of the trained network.
        images: that were compared.
    """

    folder: Path
    files: tuple[str, ...]
    differences: dict[str, Difference]
    images: int


def export_network(
    trained: KeptNetwork,
    out: Path,
    *,
    numbers: Sequence[Number] = (),
    raw_images: bool = False,
    forms: Sequence[Form] = (),
) -> Exported:
    """Writes a trained network to a folder, and checks that all forms of it agree on validation images.

    The folder is either complete or not there; an earlier export in its place is replaced.

    Args:
        trained: the network.
        out: the folder.
        numbers: what is known of the network, for its card.
        raw_images: whether to add ``network_raw.onnx``, which takes raw pixels of any size.
        forms: further ones.

    Raises:
        InvalidInputError: ``out`` holds other things, a part of the network has no counterpart in a form, or a form
            computes something else.
    """
    check_out(out)
    shape = trained.preprocessing.shape
    images = trained.check_images(IMAGES)
    expected = trained.logits(images)
    differences = dict[str, Difference]()
    if trained.model is not None:
        # Weights of another arch may have the same shapes.
        kept = Difference.between(expected, onnx_logits(trained.model, images))
        kept.expect_small("the ONNX model that the run keeps")
    source = network_source(trained.network, shape, _about(trained))
    document = to_onnx(trained.network, shape, batch=None)
    expect_input(document)
    with replacing_folder(out) as folder:
        write_text(folder / "network.py", source)
        write_safetensors(folder / "weights.safetensors", trained.network.state_dict())
        write_bytes(folder / "network.onnx", document)
        if raw_images:
            write_bytes(folder / "network_raw.onnx", with_preprocessing(document, trained.preprocessing))
        write_text(folder / "labels.txt", "".join(f"{' '.join(name.split())}\n" for name in trained.labels))
        targets = {"targets": kind} if (kind := trained.targets.document()) else {}
        write_json(folder / "preprocess.json", trained.preprocessing.document() | targets)
        if trained.preprocessing.reads_files:
            write_text(folder / "predict.py", predict_script())
            write_text(folder / "requirements.txt", _REQUIREMENTS)
        for name, drawing in trained.drawings().items():
            write_text(folder / name, drawing)
        differences["network.onnx"] = Difference.between(expected, onnx_logits(document, images))
        (clean,) = clean_logits([(folder / "network.py", folder / "weights.safetensors")], [images])
        differences["network.py"] = Difference.between(expected, clean)
        for name, difference in differences.items():
            difference.expect_small(name)
        said = [form(trained, document, folder) for form in forms]
        write_text(folder / "card.md", card(trained, numbers, differences, len(images), said))
        # By its list a later export knows what it may replace.
        files = tuple(sorted([*(path.name for path in folder.iterdir()), _FACTS]))
        write_json(folder / _FACTS, {"made_by": _MADE_BY, "files": list(files), **trained.facts})
    return Exported(out, files, differences, len(images))


def _about(trained: KeptNetwork) -> dict[str, str]:
    """What stands at the top of the source."""
    return {
        "Arch": trained.key,
        "Space": trained.space_text,
        "Task": f"{trained.task.name}, {trained.targets.amount(trained.task.num_classes)}",
        "Images": "normalised as in preprocess.json",
    }


def check_out(out: Path) -> None:
    """Raises InvalidInputError where a folder must not be written to: it holds other things than an earlier export."""
    if not out.exists():
        return
    if not out.is_dir():
        raise InvalidInputError(f"{out} is a file; expected a folder for the export.", argument="out")
    # Who imports network.py there gets that one from Python.
    present = {path.name for path in out.iterdir()} - {"__pycache__"}
    if not present:
        return
    try:
        earlier = read_json(out / _FACTS)
        own = set(earlier["files"]) if earlier["made_by"] == _MADE_BY else set[str]()
    except (OSError, ValueError, KeyError, TypeError):
        own = set()
    if others := sorted(present - own):
        named = f"{', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"
        raise InvalidInputError(
            f"{out} holds other things than an earlier export ({named}); choose another folder, or move them away.",
            argument="out",
        )
