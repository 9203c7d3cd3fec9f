"""Search spaces: which archs are valid, how they are written, and which networks they stand for."""

from gennas.registry import Registry
from gennas.spaces.base import Space, Template

SPACES: Registry[type[Space]] = Registry("space", {"nasbench201": "gennas.spaces.nasbench201:NasBench201"})


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
    return SPACES.get(name).with_skeleton(skeleton)


__all__ = ["SPACES", "Space", "Template", "get_space"]
