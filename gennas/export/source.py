"""network_source: a network as readable PyTorch modules that import only torch."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from torch import nn

from gennas.export.definitions import NETWORK, define
from gennas.export.formatting import WIDTH
from gennas.export.module_source import definition_lines
from gennas.export.shapes import Shapes
from gennas.export.structure import tree

_MAIN = """
if __name__ == "__main__":
    from pathlib import Path

    from safetensors.torch import load_file

    network = {network}()
    network.load_state_dict(load_file(Path(__file__).with_name("weights.safetensors")))
    logits = network.eval()(torch.zeros(1, {shape}))
    print(sum(weight.numel() for weight in network.parameters()), "parameters")
    print("logits of a black image:", logits)
"""


def network_source(network: nn.Module, input_shape: tuple[int, int, int], facts: Mapping[str, str]) -> str:
    """The source of a module with a class ``Network``, whose weights have the names that they have in the network.

    Modules of equal structure share a class; what differs between them are its arguments. What a module does in
    training only is not in the source, but for dropout.

    Args:
        network: with modules of torch.nn, and others whose ``forward`` torch.fx can trace.
        input_shape: ``(c, h, w)`` of its images.
        facts: name -> text, for the docstring on top.

    Raises:
        InvalidInputError: a module cannot be written as source; the message names it and says why.
    """
    network.eval()
    root, shapes = tree(network), Shapes(network, input_shape)
    definitions = define(root, shapes)
    body = "\n\n\n".join("\n".join(definition_lines(definition, shapes)) for definition in definitions)
    head = ['"""A network that gennas exported; its weights are in weights.safetensors.']
    head += [""] if facts else []
    for name, fact in facts.items():
        # Names of tasks, and keys of a user's space, may hold anything.
        text = fact.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        head += textwrap.wrap(
            f"{name}: {text}", WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    imports = ["from __future__ import annotations", ""]
    imports += ["from collections import OrderedDict", ""] if "OrderedDict(" in body else []
    imports += ["import torch", "from torch import Tensor, nn" if "Tensor" in body else "from torch import nn"]
    head = [*head, '"""'] if facts else [f'{head[0]}"""']
    main = _MAIN.format(network=NETWORK, shape=", ".join(map(str, input_shape)))
    return "\n".join([*head, "", *imports, "", "", body, ""]) + f"\n{main}"
