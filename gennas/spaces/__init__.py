"""Search spaces: which archs are valid, how they are written, and which networks they stand for."""

from gennas.errors import UnknownNameError
from gennas.registry import Registry
from gennas.spaces.base import Space
from gennas.spaces.template import Template

SPACES: Registry[type[Space]] = Registry(
    "space",
    {
        "nasbench101": "gennas.spaces.nasbench101.space:NasBench101",
        "nasbench201": "gennas.spaces.nasbench201.space:NasBench201",
        "nasbench_graph": "gennas.spaces.nasbench_graph.space:NasBenchGraph",
    },
)


def get_space(name: str, skeleton: str = "") -> Space:
    """The space of that name.

    Args:
        name: a registered name, or ``"package.module:Class"`` for a space of your own.
        skeleton: settings of the network around the searched part, e.g. ``"channels=16,cells=5"``;
            what is not named keeps its default.

    Raises:
        UnknownNameError: no such space; the nearest name is suggested.
        InvalidInputError: a setting that the space does not have, or a bad value.
    """
    space = SPACES.get(name)
    if not (isinstance(space, type) and issubclass(space, Space)):
        raise UnknownNameError(f"{name!r} is no space but {space!r}; expected a subclass of gennas.Space.")
    return space.with_skeleton(skeleton)


def address_of(space: Space) -> str:
    """The name under which :func:`get_space` finds the class of a space again."""
    return SPACES.name_of(f"{type(space).__module__}:{type(space).__qualname__}")


__all__ = ["SPACES", "Space", "Template", "address_of", "get_space"]
