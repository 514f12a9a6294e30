"""Inception v3 as the published FIDs use it: TensorFlow's weights of 2015 with their own pooling.

The architecture is that of arXiv 1512.00567, with 1,008 outputs. Parameter names are those of
`pt_inception-2015-12-05-6726825d.pth`. It differs from the usual Inception in what average pools
count at the edges (real places alone) and in the last block's pool, which takes the maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.resize import resize_square

#: Side of what it looks at; its features, classes, and the block and channels that sFID looks at.
SIDE, FEATURES, CLASSES = 299, 2048, 1008
SPATIAL_BLOCK, SPATIAL_CHANNELS = "Mixed_6d", 7
#: Numbers of the spatial features: 7 channels of 17 x 17 places.
SPATIAL = SPATIAL_CHANNELS * 17 * 17
EPSILON = 1e-3

#: Where a pixel of the resized image lies in the given one: TensorFlow's first rule puts both
#: first pixels' corners on each other, the later one the images' edges.
Corners = Literal["first", "edges"]


@dataclass(frozen=True)
class Layer:
    """A convolution, batch norm and ReLU of a block.

    Attributes:
        name: Its name in the block.
        outputs: Channels that it puts out.
        kernel: Rows and columns that it sees.
        stride: Of 2 with no padding; of 1 the size stays.
    """

    name: str
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


#: A stage of a branch: a layer, layers side by side, or a pool.
Stage = Layer | tuple[Layer, ...] | Literal["average", "maximum", "halve"]
Branches = tuple[tuple[Stage, ...], ...]


class Unit(nn.Module):
    """A convolution without bias, batch norm and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int] = (1, 1),
        stride: int = 1,
        padding: tuple[int, int] | int = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h', w')."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """A block of branches whose outputs are put side by side.

    Args:
        inputs: Channels that it takes.
        branches: Its branches.
    """

    def __init__(self, inputs: int, branches: Branches) -> None:
        super().__init__()
        self.branches, self.outputs = branches, 0
        for branch in branches:
            width = inputs
            for stage in branch:
                if isinstance(stage, str):
                    continue
                layers = (stage,) if isinstance(stage, Layer) else stage
                for layer in layers:
                    padding = tuple(side // 2 for side in layer.kernel) if layer.stride == 1 else 0
                    unit = Unit(width, layer.outputs, layer.kernel, layer.stride, padding)  # type: ignore[arg-type]
                    self.add_module(layer.name, unit)
                width = sum(layer.outputs for layer in layers)
            self.outputs += width

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h', w')."""
        return torch.cat([self._run(branch, x) for branch in self.branches], dim=1)

    def _run(self, branch: Sequence[Stage], x: Tensor) -> Tensor:
        for stage in branch:
            if isinstance(stage, str):
                x = _pool(stage, x)
            elif isinstance(stage, Layer):
                x = getattr(self, stage.name)(x)
            else:
                x = torch.cat([getattr(self, layer.name)(x) for layer in stage], dim=1)
        return x


def _pool(kind: str, x: Tensor) -> Tensor:
    if kind == "average":
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    if kind == "maximum":
        return F.max_pool2d(x, 3, stride=1, padding=1)
    return F.max_pool2d(x, 3, stride=2)


def _block_a(pooled: int) -> Branches:
    threes = [Layer(f"branch3x3dbl_{i}", 96, (3, 3)) for i in (2, 3)]
    return (
        (Layer("branch1x1", 64),),
        (Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, (5, 5))),
        (Layer("branch3x3dbl_1", 64), *threes),
        ("average", Layer("branch_pool", pooled)),
    )


BLOCK_B: Branches = (
    (Layer("branch3x3", 384, (3, 3), 2),),
    (
        Layer("branch3x3dbl_1", 64),
        Layer("branch3x3dbl_2", 96, (3, 3)),
        Layer("branch3x3dbl_3", 96, (3, 3), 2),
    ),
    ("halve",),
)


def _block_c(width: int) -> Branches:
    return (
        (Layer("branch1x1", 192),),
        (
            Layer("branch7x7_1", width),
            Layer("branch7x7_2", width, (1, 7)),
            Layer("branch7x7_3", 192, (7, 1)),
        ),
        (
            Layer("branch7x7dbl_1", width),
            Layer("branch7x7dbl_2", width, (7, 1)),
            Layer("branch7x7dbl_3", width, (1, 7)),
            Layer("branch7x7dbl_4", width, (7, 1)),
            Layer("branch7x7dbl_5", 192, (1, 7)),
        ),
        ("average", Layer("branch_pool", 192)),
    )


BLOCK_D: Branches = (
    (Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, (3, 3), 2)),
    (
        Layer("branch7x7x3_1", 192),
        Layer("branch7x7x3_2", 192, (1, 7)),
        Layer("branch7x7x3_3", 192, (7, 1)),
        Layer("branch7x7x3_4", 192, (3, 3), 2),
    ),
    ("halve",),
)


def _split(name: str) -> tuple[Layer, ...]:
    return Layer(f"{name}a", 384, (1, 3)), Layer(f"{name}b", 384, (3, 1))


def _block_e(pool: Literal["average", "maximum"]) -> Branches:
    return (
        (Layer("branch1x1", 320),),
        (Layer("branch3x3_1", 384), _split("branch3x3_2")),
        (
            Layer("branch3x3dbl_1", 448),
            Layer("branch3x3dbl_2", 384, (3, 3)),
            _split("branch3x3dbl_3"),
        ),
        (pool, Layer("branch_pool", 192)),
    )


BLOCKS: dict[str, Branches] = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": BLOCK_B,
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    SPATIAL_BLOCK: _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": BLOCK_D,
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("maximum"),
}


@dataclass(frozen=True)
class Seen:
    """What the network says of N images.

    Attributes:
        pooled: Means over the last block's places (N, 2048), for FID.
        spatial: Seven channels of an inner block (N, 2023), places first, for sFID.
        logits: Logits (N, 1008) without their bias, for the Inception score.
    """

    pooled: Tensor
    spatial: Tensor
    logits: Tensor


class Inception(nn.Module):
    """The network; frozen, for nothing here trains it."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, (3, 3), 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = Unit(32, 64, (3, 3), padding=1)
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, (3, 3))
        width = 192
        for name, branches in BLOCKS.items():
            block = Mixed(width, branches)
            self.add_module(name, block)
            width = block.outputs
        self.fc = nn.Linear(FEATURES, CLASSES)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Seen:
        """Look at images (N, 3, 299, 299) from -1 to 1."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(_pool("halve", x)))
        x = _pool("halve", x)
        for name in BLOCKS:
            block = getattr(self, name)
            if name == SPATIAL_BLOCK:
                inner = block.branch1x1(x)[:, :SPATIAL_CHANNELS]
            x = block(x)
        pooled = x.mean(dim=(2, 3))
        spatial = inner.permute(0, 2, 3, 1).flatten(1)
        return Seen(pooled, spatial, pooled @ self.fc.weight.T)


def enlarged(images: Tensor, corners: Corners) -> Tensor:
    """Resize images (N, c, H, W) to 299 x 299 bilinearly, without antialias, as TensorFlow does."""
    return resize_square(images, SIDE, partial(_axis, corners))


@cache
def _axis(corners: Corners, source: int, target: int) -> Tensor:
    """Make the weights (target, source) of one axis."""
    shift = 0.5 if corners == "edges" else 0.0
    places = torch.arange(target, dtype=torch.float64) + shift
    read = (places * source / target - shift).clamp(0, source - 1)
    lower = read.floor().long()
    upper = (lower + 1).clamp(max=source - 1)
    share = (read - lower)[:, None]
    eye = torch.eye(source, dtype=torch.float64)
    return ((1 - share) * eye[lower] + share * eye[upper]).float()
