# SPDX-License-Identifier: Apache-2.0
"""Whether what depth shows under a box can be an object of the size in the card, and what is wrong where it cannot.

A depth camera whose unit is not the assumed one makes everything larger or smaller by the same factor, and so does a
card in centimetres. The extent of a box at a depth is compared with the size; what is hidden, or outside the image,
makes an object look smaller than it is, never larger.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import UNIT_PARAMETER, DepthImage, RegionPoints
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.sized_place import SizedPlace
from isaac_inference.ops.depth.surfaces import SeenObject
from isaac_inference.ops.geometry.camera_model import CameraModel

_SAMPLES = 500
_UNITS = (
    ('m', 1.0),
    ('inches', 0.0254),
    ('cm', 0.01),
    ('mm', 0.001),
    ('0.25 mm', 0.00025),
    ('0.1 mm', 0.0001),
)
_UNSURE = 2.2


class _View(Protocol):
    @property
    def image(self) -> DepthImage: ...
    @property
    def camera(self) -> CameraModel: ...


def check_box(
    label: str, region: RegionPoints, box: np.ndarray, size: np.ndarray, depth: _View, settings: DepthSettings
) -> None:
    """Refuse a box that at none of the depths under it has an extent that the object can have.

    Raises:
        FrameError: 'depth_size'.
    """
    z = region.points[region.inside, 2]
    if len(z) < settings.min_points:
        return
    z = np.sort(z[:: max(1, len(z) // _SAMPLES)])
    near, far = float(z[len(z) // 50]), float(z[-1 - len(z) // 50])
    extent = (box[2:] - box[:2]) / depth.camera.focal
    largest = float(np.linalg.norm(size))
    if extent.max() * near > settings.max_ratio**2 * largest:
        raise _refused(label, extent * near, near, float(extent.max()) * near / largest, size, depth)
    least = float(np.linalg.norm(np.sort(size)[:2]))
    whole = float(np.linalg.norm(extent))
    # a part of an object may be small, but not that small
    if whole * far < least / settings.max_ratio**4:
        raise _refused(label, extent * far, far, whole * far / least, size, depth)


def check_place(
    label: str, place: SizedPlace, surface: SeenObject, box: np.ndarray, distance: float, size: np.ndarray,
    depth: _View, settings: DepthSettings,
) -> None:  # fmt: skip
    """Refuse what no rotation of the object explains.

    Raises:
        FrameError: 'depth_size'.
    """
    extent = (box[2:] - box[:2]) * distance / depth.camera.focal
    shown = np.abs(place.poses[0].rotation[:2]) @ size
    ratio = float(np.linalg.norm(extent) / np.linalg.norm(shown))
    is_whole = not (surface.sides.any() or surface.cut.any())
    least = settings.min_extent if is_whole else settings.min_part
    if place.misfit > settings.max_misfit or ratio < least:
        raise _refused(label, extent, distance, ratio, size, depth)


def _refused(
    label: str, extent: np.ndarray, distance: float, ratio: float, size: np.ndarray, depth: _View
) -> FrameError:
    sides = ' x '.join(f'{side:.3g}' for side in size)
    seen = f'{label}: its box is {extent[0]:.3g} x {extent[1]:.3g} m at {distance:.3g} m by depth'
    suspects = _suspects(label, ratio, size, depth.image.scale)
    return FrameError(
        'depth_size',
        f'{seen}, some {ratio:.2g} times what an object of {sides} m shows{suspects}',
    )


def _suspects(label: str, ratio: float, size: np.ndarray, scale: float) -> str:
    """Which units would explain it, and what to set then."""
    advice = [
        f'{UNIT_PARAMETER}: {unit:g} if its unit is {name}'
        for name, unit in _UNITS
        if _alike(unit / scale * ratio) and abs(np.log(unit / scale)) > 0.1
    ]
    advice += [
        f'objects.{label}.size: [{", ".join(f"{side * unit:.4g}" for side in size)}] if the card has it in {name}'
        for name, unit in _UNITS[1:4]
        if _alike(unit / ratio)
    ]
    if advice:
        return f'; depth or card may have another unit: set {", or ".join(advice)}'
    return f'; is something else before it, or under its box, or is objects.{label}.size wrong?'


def _alike(ratio: float) -> bool:
    """Whether it may be 1: an object's extent is known only so well without its rotation."""
    return bool(abs(np.log(ratio)) < np.log(_UNSURE))
