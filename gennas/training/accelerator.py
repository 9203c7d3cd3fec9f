"""accelerator: where networks are run that Lightning does not place."""

import torch


def accelerator() -> torch.device:
    """The GPU, or the processor where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
