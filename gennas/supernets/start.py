"""Start: what the network of an arch begins its training with, other than random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from gennas.arch import Arch
from gennas.documents import read_json
from gennas.errors import GennasError, InvalidInputError
from gennas.spaces import Space, name_in_files
from gennas.spaces.skeleton import skeleton_text
from gennas.supernets.transformation import Places, places_of, transform
from gennas.tasks import Task
from gennas.tasks.targets import kind_of
from gennas.training.network_files import FACTS, SUPERNET, WEIGHTS
from gennas.training.recipe import inherited_files, inherited_hash


@dataclass(frozen=True, eq=False)
class Parent:
    """The trained network of an arch.

    Attributes:
        folder: that holds it.
        arch: of the space that it is asked for.
        facts: its ``arch.json``.
    """

    folder: Path
    arch: Arch
    facts: Mapping[str, Any]

    def network(self, space: Space) -> nn.Module:
        """The network, on the CPU.

        Raises:
            InvalidInputError: its files are damaged.
        """
        facts = self.facts
        try:
            own = type(space).with_skeleton(skeleton_text(facts["skeleton"]))
            shape = tuple(int(side) for side in facts["input_shape"])
            network = own.build(self.arch, Task(str(facts["task"]), shape, int(facts["num_classes"])))
            network.load_state_dict(load_file(self.folder / WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise _refused(self.folder, f"whose network cannot be read ({type(error).__name__}: {error})") from error
        return network


class Start:
    """What networks of a space begin with: a supernet's weights, or those of trained networks of the space.

    Args:
        folder: of a supernet, of a trained network, or of a run with trained networks, of which the nearest arch's is
            taken: the one with fewest other operations and edges.
        space: of the networks.
        task: what they are for.

    Raises:
        InvalidInputError: there is nothing of the kind in the folder, or it is of another space.
        DataMissingError: the supernet is damaged.
    """

    def __init__(self, folder: Path, space: Space, task: Task) -> None:
        self.folder, self.space, self.task = folder, space, task
        files = inherited_files(folder)
        self.is_supernet = files[0].name == SUPERNET
        self.parents: tuple[Parent, ...] = ()
        if self.is_supernet:
            expect_supernet(folder, space)
        else:
            self.parents = tuple(found for path in files if (found := _parent(path.parent, space, len(files) == 1)))
            if not self.parents:
                raise _refused(folder, f"whose networks are none of space {space.name!r}")

    def parent(self, arch: Arch) -> Parent | None:
        """The trained network that an arch begins with: that of the nearest arch; None where it is a supernet's."""
        if self.is_supernet:
            return None
        ops, edges = self.space.arrays([arch, *(parent.arch for parent in self.parents)])
        distances = (ops[1:] != ops[0]).sum(1) + (edges[1:] != edges[0]).sum((1, 2))
        return self.parents[int(distances.argmin())]

    def places(self, arch: Arch) -> Places:
        """Which modules stand at the places of the parent's, for feature distillation; see :func:`.places_of`.

        None of a supernet: a path has its features already.
        """
        parent = self.parent(arch)
        if parent is None:
            return ()
        places = places_of(self.space, arch, parent.arch)
        if places != (("", ""),):
            return places
        # Of networks with the same names at the same places, the members of their chains.
        network, other = self.space.build(arch, self.task), dict(parent.network(self.space).named_modules())
        chains = [name for name, module in network.named_modules() if isinstance(module, nn.Sequential)]
        tops = [name for name in chains if "." not in name]
        members = [f"{top}.{name}" for top in tops for name, _ in network.get_submodule(top).named_children()]
        return tuple((name, name) for name in members if name in other)

    def begin(self, arch: Arch) -> tuple[nn.Module, dict[str, Any]]:
        """The network of an arch with what it inherits, and what is said of that in ``arch.json``.

        What is new is initialised by torch's global random numbers.

        Raises:
            InvalidInputError: the files are damaged.
        """
        known: dict[str, Any] = {"folder": str(self.folder), "weights": inherited_hash(self.folder)}
        parent = self.parent(arch)
        if parent is None:
            from gennas.supernets.stored import load_supernet

            # A worker process knows the user's own space by this object alone.
            name_in_files(self.space)
            supernet = load_supernet(self.folder, self.task)
            return supernet.inherit(arch, self.task).train(), {"kind": "supernet", **known, **_named(supernet.origin)}
        network = self.space.build(arch, self.task)
        facts = parent.facts
        classes = tuple(facts.get("class_names", ())), int(facts["num_classes"])
        keeps = classes == (tuple(self.task.class_names), self.task.num_classes)
        keeps = keeps and kind_of(facts.get("targets")).name == self.task.targets.name
        found = transform(
            network, parent.network(self.space), places_of(self.space, arch, parent.arch), keeps_classes=keeps
        )
        layers = {"copied": len(found.copied), "cropped": list(found.cropped), "new": list(found.new)}
        origin = _named(facts.get("initial_weights", {}))
        return network, {"kind": "network", "key": parent.arch.key, **known, "layers": layers, **origin}


def _named(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Whose weights they were at first, with their licence, where they were not random."""
    return {"initial_weights": dict(origin)} if origin else {}


def _parent(folder: Path, space: Space, is_asked: bool) -> Parent | None:
    """The trained network in a folder; None, unless it is the only one, where it is of another space."""
    try:
        facts = read_json(folder / FACTS)
        if facts["space"] != space.name:
            if not is_asked:
                return None
            raise _refused(folder, f"whose network is of space {facts['space']!r}, not {space.name!r}")
        return Parent(folder, space.parse(str(facts["key"])), facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, GennasError):
            raise
        raise _refused(folder, f"whose {FACTS} cannot be read ({type(error).__name__}: {error})") from error


def expect_supernet(folder: Path, space: Space) -> None:
    """Raises InvalidInputError for the supernet of another space, or of another skeleton."""
    from gennas.supernets.stored import supernet_facts

    facts = supernet_facts(folder)
    own = {"space": space.name, "skeleton": space.skeleton}
    if any(facts.get(name) != value for name, value in own.items()):
        theirs = {name: facts.get(name) for name in own}
        raise _refused(folder, f"whose supernet is of {theirs}, not {own}")


def _refused(folder: Path, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"is {str(folder)!r}, {reason}; expected the folder of a supernet, a trained network or a run of this space.",
        argument="inherit",
    )
