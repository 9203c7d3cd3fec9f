"""A chain of inverted residual blocks as its author wrote it, without knowing gennas."""

from collections import OrderedDict

import torch
from torch import Tensor, nn


class NormAct(nn.BatchNorm2d):
    """A batch norm that holds its activation, as timm has it."""

    def __init__(self, channels: int, act: type[nn.Module] | None) -> None:
        super().__init__(channels)
        self.act = act() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class Block(nn.Module):
    """Adds its input where it can; with ``adds`` false never, as no parent does."""

    def __init__(self, c: int, out: int, stride: int, kernel: int, expansion: int, act: type[nn.Module], adds: bool):
        super().__init__()
        hidden = c * expansion
        if expansion > 1:
            self.conv_pw, self.bn1 = nn.Conv2d(c, hidden, 1, bias=False), NormAct(hidden, act)
        self.conv_dw = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False)
        self.bn2 = NormAct(hidden, act)
        self.conv_pwl, self.bn3 = nn.Conv2d(hidden, out, 1, bias=False), NormAct(out, None)
        self.adds = adds and stride == 1 and c == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv_pw(x)) if hasattr(self, "conv_pw") else x
        y = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(y))))
        return x + y if self.adds else y


class Chain(nn.Module):
    """Stages of 8 (once), 12 (twice, kernel 7 and then 5) and 16 channels (twice), with random weights and norms."""

    def __init__(self, act: type[nn.Module] = nn.ReLU, classes: int = 7, seed: int = 0, adds: bool = True) -> None:
        super().__init__()
        torch.manual_seed(seed)
        blocks = [(8, 8, 1, 3, 1), (8, 12, 2, 7, 4), (12, 12, 1, 5, 4), (12, 16, 2, 3, 3), (16, 16, 1, 3, 3)]
        self.stem = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 3, 2, 1, bias=False), bn=NormAct(8, act)))
        self.blocks = nn.Sequential(*(Block(*sizes, act, adds) for sizes in blocks))
        self.conv_head, self.bn_head = nn.Conv2d(16, 24, 1, bias=False), NormAct(24, act)
        self.drop, self.classifier = nn.Dropout(0.3), nn.Linear(24, classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias, 0, 0.3)
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.3, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn_head(self.conv_head(self.blocks(self.stem(x))))
        return self.classifier(self.drop(x.mean((2, 3))))
