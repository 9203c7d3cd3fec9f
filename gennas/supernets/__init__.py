"""Supernets: one network that holds the weights of all archs of a space."""

from gennas.registry import Registry
from gennas.supernets.base import Supernet

#: Name of a space -> its supernet, made of the space and the task; see :func:`gennas.supernets.of_space.supernet_of`.
SUPERNETS: Registry[type[Supernet]] = Registry(
    "supernet",
    {"nasbench201": "gennas.supernets.cells:CellSupernet"},
    group="gennas.supernets",
    expected="a subclass of gennas.supernets.Supernet",
    accepts=lambda entry: isinstance(entry, type) and issubclass(entry, Supernet),
    how="@SUPERNETS.register('name of your space') in the file of the space",
)

__all__ = ["SUPERNETS", "Supernet"]
