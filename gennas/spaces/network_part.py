"""What of a space and its archs stands for networks: everything, but for a joint space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennas.arch import Arch
from gennas.spaces.base import Space
from gennas.spaces.joint import JointSpace


def network_of(space: Space, arch: Arch) -> tuple[Space, Arch]:
    """The space and the arch of a network: of a joint space without the further choices, of any other as they are."""
    return (space.arch_space, space.network_arch(arch)) if isinstance(space, JointSpace) else (space, arch)


def network_space(space: Space) -> Space:
    """The space of the networks: of a joint space that of its archs, any other as it is."""
    return space.arch_space if isinstance(space, JointSpace) else space


def stored_space(space: Space) -> dict[str, Any]:
    """A space as the settings of a study hold it; see :func:`gennas.spaces.space_of`."""
    own = network_space(space)
    further = {name: list(values) for name, values in space.options.items()} if isinstance(space, JointSpace) else {}
    return {"name": own.name, "skeleton": own.skeleton, **({"recipe": further} if further else {})}


def with_stored_choices(space: Space, stored: Mapping[str, Any]) -> Space:
    """The space with the further choices that the settings of a study name, if they name some."""
    further = stored.get("recipe")
    return JointSpace.of(space, further) if isinstance(further, Mapping) and further else space
