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
from isaac_inference.ops.depth.likely_units import DEPTHS, LENGTHS
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.sized_place import SizedPlace
from isaac_inference.ops.depth.surfaces import SeenObject
from isaac_inference.ops.geometry.camera_model import CameraModel

_SAMPLES = 500
_CARD_UNITS = {'inches': 'inches', 'cm': 'centimetres', 'mm': 'millimetres'}  # what is said -> of LENGTHS
_SAME = 0.1  # of the logarithm: the unit that is in use needs no advice
_UNSURE = 2.2  # an object's extent is known only up to this factor without its rotation


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

    Example: 2000 mm that are read as metres make a box of 20 px, at a focal length of 50 px, 800 m wide.
        >>> from types import SimpleNamespace
        >>> image = DepthImage(np.full((48, 64), 2000.0, np.float32), scale=1.0)
        >>> depth = SimpleNamespace(image=image, camera=SimpleNamespace(focal=50.0))
        >>> region = RegionPoints(np.full((400, 3), 2000.0), np.zeros((400, 2)), np.ones(400, np.bool_), area=400)
        >>> box, size = np.array((22.0, 14.0, 42.0, 34.0)), np.full(3, 0.8)
        >>> check_box('crate', region, box, size, depth, DepthSettings())  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        isaac_inference.errors.FrameError: crate: its box is 800 x 800 m at 2e+03 m ... set depth_unit_scale: 0.001 ...
    """
    z = region.points[region.inside, 2]
    if len(z) < settings.min_points:
        return
    z = np.sort(z[:: max(1, len(z) // _SAMPLES)])
    near, middle, far = float(z[len(z) // 50]), float(z[len(z) // 2]), float(z[-1 - len(z) // 50])
    extent = (box[2:] - box[:2]) / depth.camera.focal
    whole = float(np.linalg.norm(extent))
    least, largest = float(np.linalg.norm(np.sort(size)[:2])), float(np.linalg.norm(size))
    # a part of an object may be small, but not that small
    if extent.max() * near > settings.max_ratio**2 * largest or whole * far < least / settings.max_ratio**4:
        ratio = whole * middle / float(np.sqrt(least * largest))
        raise _refused(label, extent * middle, middle, ratio, size, depth)


def check_distance(label: str, region: RegionPoints, depth: _View, settings: DepthSettings) -> None:
    """Refuse what is nearer than any depth camera sees; without a size, nothing else tells a wrong unit.

    Raises:
        FrameError: 'depth_unit'.

    Example: millimetres that are read as micrometres bring what is 2 m away to 2 mm.
        >>> from types import SimpleNamespace
        >>> depth = SimpleNamespace(image=DepthImage(np.full((48, 64), 2000, np.uint16), scale=1e-6))
        >>> region = RegionPoints(np.full((400, 3), 0.002), np.zeros((400, 2)), np.ones(400, np.bool_), area=400)
        >>> check_distance('crate', region, depth, DepthSettings(nearest=0.02))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        isaac_inference.errors.FrameError: crate: half of the depth under its box is nearer than 0.002 m, expected ...
    """
    z = region.points[region.inside, 2]
    middle = float(np.median(z[:: max(1, len(z) // _SAMPLES)])) if len(z) else settings.nearest
    if middle < settings.nearest:
        raise FrameError(
            'depth_unit',
            f'{label}: half of the depth under its box is nearer than {middle:.2g} m, expected {settings.nearest:g} m '
            f'or more from any depth camera; set {UNIT_PARAMETER}, which is {depth.image.scale:g} metres per unit now',
        )


def check_place(
    label: str, place: SizedPlace, surface: SeenObject, box: np.ndarray, distance: float, size: np.ndarray,
    depth: _View, settings: DepthSettings,
) -> None:  # fmt: skip
    """Refuse what no rotation of the object explains.

    Raises:
        FrameError: 'depth_size'.

    Example: 5 px at 1 m, at a focal length of 50 px, are 0.1 m: of a crate of 0.4 m a part may be so small, not all.
        >>> from types import SimpleNamespace as Some
        >>> depth = Some(image=DepthImage(np.ones((48, 64), np.float32), scale=1.0), camera=Some(focal=50.0))
        >>> place = SizedPlace(np.zeros(3), np.eye(3), (Some(rotation=np.eye(3)),), misfit=0.0)
        >>> others = (np.array((30.0, 20.0, 35.0, 25.0)), 1.0, np.full(3, 0.4), depth, DepthSettings())
        >>> check_place('crate', place, Some(sides=np.ones(4), cut=np.zeros(25)), *others)
        >>> check_place('crate', place, Some(sides=np.zeros(4), cut=np.zeros(25)), *others)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        isaac_inference.errors.FrameError: crate: its box is 0.1 x 0.1 m at 1 m by depth, some 0.25 times what ...
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
    explained = [
        (unit / scale * ratio, f'{UNIT_PARAMETER}: {unit:g} if its unit is {name}')
        for name, unit in DEPTHS.items()
        if abs(np.log(unit / scale)) > _SAME
    ]
    explained += [
        (ratio / unit, f'objects.{label}.size: [{", ".join(f"{side * unit:.4g}" for side in size)}] if it is in {name}')
        for name, unit in ((name, LENGTHS[full]) for name, full in _CARD_UNITS.items())
    ]
    likely = sorted((abs(np.log(left)), text) for left, text in explained if abs(np.log(left)) < np.log(_UNSURE))
    advice = [text for _, text in likely]
    if advice:
        return f'; depth or card may have another unit: set {", or ".join(advice)}'
    return f'; is something else before it, or under its box, or is objects.{label}.size wrong?'
