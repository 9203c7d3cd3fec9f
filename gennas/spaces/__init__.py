"""Search spaces: which archs are valid, how they are written, and which networks they stand for."""

from collections.abc import Mapping
from typing import Any

from gennas import arch as _arch
from gennas.arch import Arch
from gennas.errors import GennasError, InvalidInputError, short
from gennas.registry import Registry
from gennas.spaces.base import Space
from gennas.spaces.joint import JointSpace
from gennas.spaces.network_part import network_space, with_stored_choices
from gennas.spaces.parts.choice import Choice
from gennas.spaces.parts.space import PartsSpace
from gennas.spaces.parts.stage import Cell, Resize, Stage
from gennas.spaces.skeleton import skeleton_text
from gennas.spaces.template import Template

SPACES: Registry[type[Space]] = Registry(
    "space",
    {
        "darts": "gennas.spaces.darts.space:Darts",
        "lite0": "gennas.spaces.lite.space:Lite0",
        "lite1": "gennas.spaces.lite.space:Lite1",
        "lite2": "gennas.spaces.lite.space:Lite2",
        "fbnet": "gennas.spaces.fbnet.space:FBNet",
        "mobilenet_v3": "gennas.spaces.mobilenet_v3.space:MobileNetV3",
        "nasbench101": "gennas.spaces.nasbench101.space:NasBench101",
        "nasbench201": "gennas.spaces.nasbench201.space:NasBench201",
        "nasbench_graph": "gennas.spaces.nasbench_graph.space:NasBenchGraph",
        "nasnet": "gennas.spaces.darts.space:NasNet",
        "transnas_micro": "gennas.spaces.transnas_micro.space:TransNasMicro",
    },
    group="gennas.spaces",
    expected="a subclass of gennas.Space",
    accepts=lambda entry: isinstance(entry, type) and issubclass(entry, Space),
    how="`space` path/to/file.py:MySpace (in Python: SPACES.register)",
)


#: Names of several spaces that differ in one thing: name -> the setting that chooses one of them, and these. A space's
#: choices do not depend on its settings, as all that is stored is stored by its name; so they are spaces of their own.
FAMILIES = {"lite": ("parent", ("lite0", "lite1", "lite2"))}
#: The space of a command without ``--space``.
DEFAULT = "nasbench201"


def get_space(name: str, skeleton: str = "") -> Space:
    """The space that a person named; for a name found in a file see :func:`registered_space`.

    Args:
        name: a registered name, or ``"path/to/file.py:Class"`` or ``"package.module:Class"`` for a space of your own,
            which is known by its own name from then on; a name in ``FAMILIES``; or ``timm:NAME`` for sub-networks of
            a network of timm.
        skeleton: settings of the network around the searched part, e.g. ``"channels=16,cells=5"``;
            what is not named keeps its default. ``lite`` takes ``parent=1`` for ``lite1``; by default it is ``lite0``.

    Raises:
        UnknownNameError: no such space; the nearest name is suggested.
        InvalidInputError: a file that fails, something that is no space, a setting that the space does not have, or a
            bad value.
    """
    name, skeleton = family_member(name, skeleton)
    return SPACES.get(name).with_skeleton(skeleton)


def family_member(name: str, skeleton: str) -> tuple[str, str]:
    """The space of a family that a setting chooses, and the other settings; any other name as it is.

    ``timm:NAME`` becomes the address of that network's space.
    """
    if name.startswith("timm:"):
        return f"gennas.spaces.lite.timm_chains:{name.removeprefix('timm:')}", skeleton
    setting, members = FAMILIES.get(name.lower(), ("", ()))
    if not members:
        return name, skeleton
    number, others = "0", []
    for part in filter(str.strip, skeleton.split(",")):
        if part.partition("=")[0].strip() == setting:
            number = part.partition("=")[2].strip()
        else:
            others.append(part)
    if number not in map(str, range(len(members))):
        raise InvalidInputError(
            f"{setting} of space {name!r} is {short(number)!r}; expected 0 to {len(members) - 1}, e.g. {setting}=1 for "
            f"{members[1]}."
        )
    return members[int(number)], ",".join(others)


def registered_space(name: str, skeleton: str = "") -> Space:
    """The space that a checkpoint, a table or a study names; nothing but a registered name is accepted.

    Raises:
        UnknownNameError: it is not registered; the message says how to make a space of one's own known.
    """
    return SPACES.registered(name).with_skeleton(skeleton)


def space_of(stored: Mapping[str, Any]) -> Space:
    """The space that the settings of a study name, with the skeleton and the further choices in them.

    Raises:
        UnknownNameError: it is not registered; the message says how to make a space of one's own known.
        InvalidInputError: a setting that the space does not have, or choices that cannot be made.
    """
    skeleton = stored.get("skeleton")
    named = registered_space(str(stored.get("name", "")), skeleton_text(skeleton if isinstance(skeleton, dict) else {}))
    return with_stored_choices(named, stored)


def name_in_files(space: Space) -> str:
    """The name of a space in checkpoints; from now on its class is known by it in this process."""
    SPACES.make_known(type(space))
    return space.name


def address_of(space: Space) -> str:
    """What a person writes to name the class of a space, e.g. as ``--space``."""
    return SPACES.address_of(type(network_space(space)))


def space_option(space: Space | str) -> str | None:
    """What ``--space`` is in a command that is printed: what the user wrote; None for the default of every verb.

    Args:
        space: it, or its name; of a joint space, that of its archs.
    """
    if isinstance(space, str):
        if space not in SPACES:
            return space
        space = registered_space(space)
    return None if network_space(space).name == DEFAULT else address_of(space)


def _drawing(arch: Arch) -> str | None:
    """The drawing of an arch of a registered space, for notebooks; they show its text where there is none."""
    from gennas.spaces.drawing import draw_svg

    try:
        space = registered_space(arch.space)
    except GennasError:
        return None
    return draw_svg(space, arch)


_arch.drawing = _drawing

__all__ = [
    "SPACES",
    "Cell",
    "Choice",
    "JointSpace",
    "PartsSpace",
    "Resize",
    "Space",
    "Stage",
    "Template",
    "address_of",
    "get_space",
    "name_in_files",
    "registered_space",
    "space_of",
    "space_option",
]
