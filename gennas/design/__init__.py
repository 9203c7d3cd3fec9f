"""Design: from images and limits to trained networks, in stages that resume."""

from gennas.design.result import Design, Designed
from gennas.design.run import design_networks
from gennas.design.settings import EFFORTS, Effort, EffortName

__all__ = ["EFFORTS", "Design", "Designed", "Effort", "EffortName", "design_networks"]
