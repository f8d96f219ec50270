# SPDX-License-Identifier: Apache-2.0
"""The network that completes depth: planes fitted to what was read, and a U-Net that chooses among them.

The inverse depth of a plane is linear in the image. So planes are fitted, in closed form, to the readings of cells of
4, 8 and 16 px and their neighbours; each, and those of the cells two to its left, right, top and bottom, are
continued to every pixel. The U-Net sees the image, the readings and how well the planes fit, and says for each pixel
how much of each plane, and of the reading itself, it takes, and how sure it is. Where the answer is a plane it is as
exact as the readings around it together; where it is none, the U-Net adds what is missing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = (2, 3, 4)
"""Cells have 2 to the power of these px."""
SHIFTS = ((0, 0), (0, 2), (0, -2), (2, 0), (-2, 0))
"""Cells (down, across) whose plane is continued to this one."""
CANDIDATES = len(LEVELS) * len(SHIFTS) + 1
LEAST_READINGS = 6.0
"""In a plane's window; below, the plane of the next larger cells serves."""
FEATURES = 4
"""What is said of a plane: its value, how well it fits, how many readings it has, whether they are enough."""
TOLERANCE = 0.005
"""Relative error that the exported confidence is about."""
_RIDGE = 1e-5
_MOST = 20.0  # of an inverse depth, in units of the mean one


@dataclass(frozen=True)
class ModelSettings:
    """The network's size."""

    channels: tuple[int, ...] = (24, 44, 64, 88, 96)
    """At a half, a quarter, ... of the image."""
    height: int = 480
    width: int = 640

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, h, w) in and out."""
        return functional.relu(values + self.second(self.first(values)))


class CompletionNet(nn.Module):
    """Image and readings in; inverse depth, in units of the mean one, and its spread out."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        first, *deeper = settings.channels
        self.stem = nn.Sequential(_conv(4 * 6, first), _conv(first, first))
        extra = [FEATURES * (level in LEVELS) for level in range(2, 2 + len(deeper))]
        pairs = list(zip(settings.channels, deeper, strict=False))
        self.down = nn.ModuleList(_conv(before, channels, 2) for before, channels in pairs)
        self.mix = nn.ModuleList(
            nn.Sequential(_conv(channels + more, channels), _Residual(channels))
            for channels, more in zip(deeper, extra, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(below, channels, 1, bias=False) for channels, below in pairs)
        self.merge = nn.ModuleList(_conv(channels, channels) for channels in settings.channels[:-1])
        self.out = nn.Conv2d(first, 4 * (CANDIDATES + 3), 3, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, image: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The answer.

        Args:
            image: (B, 3, H, W) RGB 0..1.
            depth: (B, 1, H, W) m, 0 where nothing was read.

        Returns:
            (B, 1, H, W) inverse depth in units of the mean; (B, 1, H, W) logarithm of its relative spread; (B, 1, 1, 1)
            the unit, 1/m.
        """
        with torch.autocast(image.device.type, enabled=False):
            image, depth = image.float(), depth.float()
            known = (depth > 0).float()
            inverse = known / torch.where(depth > 0, depth, 1.0)
            unit = inverse.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1.0)
            unit = unit.clamp(min=1e-4)
            read = (inverse / unit).clamp(max=_MOST)
            base, features, candidates = _planes(read, known)
        values = self._network(image, read, known, base, features)
        with torch.autocast(image.device.type, enabled=False):
            values = values.float()
            chosen, fine, coarse, spread = values.split((CANDIDATES, 1, 1, 1), 1)
            own = torch.where(known > 0, read, base)
            # a softmax, in steps that run times are fast at over channels
            shares = (chosen - chosen.amax(1, keepdim=True)).exp()
            taken = (shares[:, 1:] * candidates).sum(1, keepdim=True) + shares[:, :1] * own
            mixed = taken / shares.sum(1, keepdim=True)
            answer = mixed + mixed.detach() * 0.02 * fine + 0.3 * torch.tanh(coarse) * base
        return answer.clamp(1e-3, _MOST), spread.clamp(-8.0, 2.0), unit

    def _network(self, image: Tensor, read: Tensor, known: Tensor, base: Tensor, features: list[Tensor]) -> Tensor:
        off = (known * (read - base) / base * 30.0).clamp(-2, 2)  # what is faint beside the depth itself
        seen = torch.cat((image - 0.5, known, off, base.log().clamp(-3, 3)), 1)
        values = self.stem(functional.pixel_unshuffle(seen, 2))
        kept = []
        for index, (down, mix) in enumerate(zip(self.down, self.mix, strict=True)):
            kept.append(values)
            values = down(values)
            level = index + 2
            if level in LEVELS:
                values = torch.cat((values, features[LEVELS.index(level)].to(values.dtype)), 1)
            values = mix(values)
        for up, merge, before in zip(reversed(self.up), reversed(self.merge), reversed(kept), strict=True):
            values = functional.interpolate(up(values), scale_factor=2.0, mode='bilinear', align_corners=False)
            values = merge(values + before)
        return functional.pixel_shuffle(self.out(values), 2)


def _planes(read: Tensor, known: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
    """Planes through the readings.

    Args:
        read: (B, 1, H, W) inverse depth in units of the mean, 0 where nothing was read.
        known: (B, 1, H, W) 1 where something was, else 0.

    Returns:
        (B, 1, H, W) the smooth field of the smallest cells that have readings; of each level (B, FEATURES, h, w); and
        (B, CANDIDATES - 1, H, W) what each plane says at each pixel.
    """
    height, width = (int(side) for side in read.shape[2:])
    x = torch.linspace(-1.0, 1.0, width, device=read.device)[None, None, None] * known
    y = torch.linspace(-0.75, 0.75, height, device=read.device)[None, None, :, None] * known
    z = read * known
    moments = torch.cat((known, x, y, z, x * x, x * y, y * y, x * z, y * z, z * z), 1)
    mean = z.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1.0)
    pooled = []
    for level in range(1, LEVELS[-1] + 1):
        moments = functional.avg_pool2d(moments, 2)
        if level in LEVELS:
            pooled.append((level, moments))
    larger: Tensor | None = None  # (B, 3, h, w): offset and slopes of the next larger cells' planes
    found: list[tuple[int, Tensor, Tensor]] = []
    for level, cells in reversed(pooled):
        plane, features = _fit(functional.avg_pool2d(cells, 3, 1, 1, count_include_pad=True), level)
        if larger is None:
            other = torch.cat((mean.expand(-1, -1, *plane.shape[2:]), torch.zeros_like(plane[:, 1:])), 1)
        else:
            other = functional.interpolate(larger, scale_factor=2.0, mode='nearest')
        plane = torch.where(features[:, 3:] > 0.5, plane, other)
        found.insert(0, (level, plane, features))
        larger = plane
    base = _continued(found[0][1], LEVELS[0], height, width, smooth=True)
    candidates = torch.cat(
        [
            _continued(_shifted(plane, *shift), level, height, width, smooth=False)
            for level, plane, _ in found
            for shift in SHIFTS
        ],
        1,
    )
    return base.clamp(0.02, _MOST), [features for _, _, features in found], candidates.clamp(0.0, _MOST)


def _fit(sums: Tensor, level: int) -> tuple[Tensor, Tensor]:
    """Least squares of z = a + b x + c y over each window.

    Args:
        sums: (B, 10, h, w) means of 1, x, y, z, xx, xy, yy, xz, yz, zz over the window, 0 where nothing was read.
        level: of the cells.

    Returns:
        (B, 3, h, w) a, b, c; (B, FEATURES, h, w).
    """
    share = sums[:, :1].clamp(min=1e-9)
    count = sums[:, :1] * (9.0 * 4.0**level)
    x, y, z, xx, xy, yy, xz, yz, zz = (sums[:, 1:] / share).split(1, 1)
    xx, xy, yy = xx - x * x, xy - x * y, yy - y * y
    xz, yz, zz = xz - x * z, yz - y * z, (zz - z * z).clamp(min=0.0)
    reach = (2.0**level / 320.0) ** 2
    xx, yy = xx + _RIDGE * reach + 0.02 * reach, yy + _RIDGE * reach + 0.02 * reach
    determinant = (xx * yy - xy * xy).clamp(min=1e-12)
    b, c = (yy * xz - xy * yz) / determinant, (xx * yz - xy * xz) / determinant
    rest = (zz - b * xz - c * yz).clamp(min=0.0)
    enough = (count >= LEAST_READINGS).float()
    value = z.clamp(min=0.02)
    spread = (rest.sqrt() / value + 1e-4).log() / 4.0 + 1.5
    features = torch.cat((value.log() * enough, spread * enough, (count + 1).log() / 4.0, enough), 1)
    return torch.cat((z - b * x - c * y, b, c), 1), features


def _shifted(plane: Tensor, down: int, across: int) -> Tensor:
    """(B, 3, h, w): of each cell the plane of the one `down` below and `across` to the right; at the border its own."""
    if not down and not across:
        return plane
    height, width = (int(side) for side in plane.shape[2:])
    padded = functional.pad(plane, (2, 2, 2, 2), mode='replicate')
    return padded[:, :, 2 + down : 2 + down + height, 2 + across : 2 + across + width]


def _continued(plane: Tensor, level: int, height: int, width: int, *, smooth: bool) -> Tensor:
    """(B, 1, H, W): what each cell's plane says at each of its pixels."""
    scale = float(2**level)
    if smooth:
        plane = functional.interpolate(plane, scale_factor=scale, mode='bilinear', align_corners=False)
    else:
        plane = functional.interpolate(plane, scale_factor=scale, mode='nearest')
    x = torch.linspace(-1.0, 1.0, width, device=plane.device)[None, None, None]
    y = torch.linspace(-0.75, 0.75, height, device=plane.device)[None, None, :, None]
    return plane[:, :1] + plane[:, 1:2] * x + plane[:, 2:] * y


class ExportModel(nn.Module):
    """What is exported: depth, and how likely it is right.

    With a spread b of Laplace's distribution, a relative error is below t with the probability 1 - exp(-t / b).
    """

    def __init__(self, model: CompletionNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB 0..1 and (B, 1, H, W) m, 0 for unknown; to (B, 1, H, W) m and (B, 1, H, W) 0..1, the
        probability that this is off by less than `TOLERANCE` of it.
        """
        answer, spread, unit = self.model(image, depth)
        return 1.0 / (answer * unit), 1.0 - torch.exp(-TOLERANCE / spread.exp())


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())
