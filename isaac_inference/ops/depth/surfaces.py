# SPDX-License-Identifier: Apache-2.0
"""The surfaces under a detection box, and which of them are the object.

Surfaces are pieces of the depth image without a jump in them, the supporting plane taken away. The object is what the
middle of the box shows, together with every piece that is no further from it than the object can be deep: the near and
the far wall of a mug, with its bottom. What goes on outside the box is not the object, since the box is around it.
Where a mask says which pixels are the object's, it is the largest piece under the mask, with all others there that are
no further off: nothing needs to be in the middle, and nothing is ambiguous. What is left out then is what a mask's
edge, or depth beside the colour image, brings in of things before and behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.depth.depth_image import RegionPoints
from isaac_inference.ops.depth.foreground import ambiguous, too_few
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.support_plane import SupportPlane, support_plane

_SPECK = 5  # of the 9 pixels around and under one must stand out from the plane with it
_FILLS = 0.75  # of the box's width and height: what reaches over so much is what the box is around
_LEAST = 0.004  # of all points inside: smaller pieces are specks
_REACH = 1.1  # an object's pieces are at most so far apart, over the largest distance within it: noise, loose edges
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_AROUND = np.ones((5, 5), np.uint8)


@dataclass(frozen=True, eq=False)
class SeenObject:
    """An object's visible surface on the grid of depth pixels that were looked at.

    Attributes:
        grid: (h, w, 3) float32 m, camera frame; NaN where depth has a hole.
        mask: (h, w) bool, what is the object's.
        cut: (h, w) bool, pixels of it that end at something nearer, so that more of the object may lie behind that.
        sides: (4,) bool, whether the object may reach beyond the left, top, right, bottom side of the box: hidden
            there, or outside the image.
        inside: (N,) the mask over the region's points.
        plane: what it stands on, where there is one.
        jump: m, what counts as one between two neighbours.
    """

    grid: np.ndarray
    mask: np.ndarray
    cut: np.ndarray
    sides: np.ndarray
    inside: np.ndarray
    plane: SupportPlane | None
    jump: float

    @property
    def points(self) -> np.ndarray:
        """(n, 3) float32 m, the object's, each at the mean depth of its neighbours on the object."""
        z = np.where(self.mask, self.grid[..., 2], np.float32(0.0))
        mean = cv2.blur(z, (3, 3)) / np.maximum(cv2.blur(self.mask.astype(np.float32), (3, 3)), np.float32(1e-6))
        z, mean = z[self.mask], mean[self.mask]
        factor = np.where(np.abs(mean - z) < self.jump / 2, mean / z, np.float32(1.0))
        return self.grid[self.mask] * factor[:, None]


@dataclass(frozen=True, eq=False)
class _Piece:
    label: int
    count: int
    middle: int
    near: float
    far: float
    goes_on: bool
    extent: np.ndarray  # (4,) left, top, right, bottom of it, 0 to 1 along the box


def _span(pieces: list[_Piece]) -> float:
    """How much of the box's width and height they reach over together, the less of the two."""
    extents = np.array([piece.extent for piece in pieces])
    return float((extents[:, 2:].max(axis=0) - extents[:, :2].min(axis=0)).min())


def object_surface(
    region: RegionPoints,
    box: np.ndarray,
    image_wh: tuple[int, int],
    settings: DepthSettings,
    longest: float | None,
    masked: bool = False,
) -> SeenObject:
    """Which of a region's points are the object's.

    Args:
        region: the points under the box and around it.
        box: (4,) x_min, y_min, x_max, y_max of the box in px of the depth image.
        image_wh: size of the depth image.
        settings: what is told from what.
        longest: largest distance within the object, m; None takes the longer side of the box where it is.
        masked: the region's `inside` is the object's mask, not the whole box.

    Raises:
        FrameError: 'depth_missing' (too few points), 'depth_ambiguous' (separate surfaces share the middle of the box).

    Example: at 1 m before a wall at 2 m stands an object of 16 x 12 px; it loses its four corners.
        >>> y, x = (axis.ravel() for axis in np.mgrid[:24, :32])
        >>> z = np.where((abs(x - 15.5) < 8) & (abs(y - 11.5) < 6), 1.0, 2.0)
        >>> inside = (abs(x - 15.5) < 10) & (abs(y - 11.5) < 8)
        >>> region = RegionPoints(np.stack((x * z / 50, y * z / 50, z), axis=1), np.stack((x, y), axis=1), inside, 320)
        >>> seen = object_surface(region, np.array((6.0, 4.0, 26.0, 20.0)), (32, 24), DepthSettings(), longest=None)
        >>> int(seen.mask.sum()), np.unique(seen.points[:, 2].round(3)).tolist()
        (188, [1.0])
    """
    count = int(np.count_nonzero(region.inside))
    if count < settings.min_points:
        raise too_few(count, settings)
    x, y = region.pixels[:, 0], region.pixels[:, 1]
    origin = np.array((x.min(), y.min()))
    column, row = (x - origin[0]) // region.step, (y - origin[1]) // region.step
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    grid = np.full((*shape, 3), np.nan, np.float32)
    grid[row, column] = region.points
    within = np.zeros(shape, np.bool_)
    within[row, column] = region.inside
    z = grid[..., 2]
    seen = np.isfinite(z)
    plane = support_plane(region.points[~region.inside], settings)
    standing = seen if plane is None else _standing(grid, plane)
    if np.count_nonzero(standing & within) < settings.min_points:
        standing = seen
    distance = float(np.median(z[standing & within][::4]))
    jump = settings.gap * max(1.0, distance)
    labels, number = _labelled(z, standing & within if masked else standing, jump)
    sides = (np.asarray(box, np.float64).reshape(2, 2) - origin) / region.step  # in cells
    pieces = _pieces(labels, number, z, within, sides, settings)
    if not pieces:
        raise ambiguous('depth is scattered without any surface')
    chosen = _chosen(pieces, region, longest, settings, masked)
    role = np.zeros(number, np.uint8)  # 1: the object, 2: something else that stands there
    role[[piece.label for piece in pieces]] = 2
    role[chosen] = 1
    roles = role[labels]
    mask = (roles == 1) & within
    if masked:  # what is not under the mask is no piece
        roles[standing & ~within] = 2
    if np.count_nonzero(mask) < settings.min_points:
        raise too_few(int(np.count_nonzero(mask)), settings)
    others = np.where(roles == 2, z, np.float32(np.inf))
    cut = mask & (cv2.erode(others, _AROUND) < z - jump)
    cut |= mask & _beside_border(shape, origin, region.step, image_wh)
    inside = region.inside & mask[row, column]
    return SeenObject(grid, mask, cut, _open_sides(mask, cut, sides, box, image_wh), inside, plane, jump)


def _standing(grid: np.ndarray, plane: SupportPlane) -> np.ndarray:
    """(h, w) bool: above what things stand on, and not a speck."""
    with np.errstate(invalid='ignore'):
        above = plane.height(grid) > plane.band
    crowd = cv2.blur(above.astype(np.float32), (3, 3), borderType=cv2.BORDER_REFLECT) * 9
    return np.asarray(above & (crowd > _SPECK - 0.5))


def _beside_border(shape: tuple[int, int], origin: np.ndarray, step: int, image_wh: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the cells within two of the image's border."""
    beside = np.zeros(shape, np.bool_)
    first, last = -(-(2 * step - origin) // step), (np.array(image_wh) - 2 * step - origin) // step
    beside[:, : max(0, first[0])] = beside[:, max(0, last[0]) :] = True
    beside[: max(0, first[1])] = beside[max(0, last[1]) :] = True
    return beside


def _labelled(z: np.ndarray, standing: np.ndarray, jump: float) -> tuple[np.ndarray, int]:
    """(h, w) numbers of the pieces from 1 on, 0 for what is none, and how many numbers there are."""
    far = np.where(standing, z, np.float32(np.nan))
    behind = np.zeros(z.shape, np.bool_)  # pixels behind a neighbour: taken away, they leave the pieces apart
    with np.errstate(invalid='ignore'):
        right, down = far[:, 1:] - far[:, :-1], far[1:] - far[:-1]
        behind[:, 1:] |= right > jump
        behind[:, :-1] |= right < -jump
        behind[1:] |= down > jump
        behind[:-1] |= down < -jump
    number, labels = cv2.connectedComponents((standing & ~behind).astype(np.uint8), connectivity=4)
    left = behind & standing
    for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
        beside, depth = np.roll(labels, shift, axis), np.roll(z, shift, axis)
        with np.errstate(invalid='ignore'):
            joins = left & (labels == 0) & (beside > 0) & (np.abs(depth - z) < jump)
        labels[joins] = beside[joins]
    return labels, number


def _pieces(
    labels: np.ndarray, number: int, z: np.ndarray, within: np.ndarray, sides: np.ndarray, settings: DepthSettings
) -> list[_Piece]:
    inside = np.bincount(labels[within], minlength=number)
    inside[0] = 0
    rows, columns = np.arange(labels.shape[0])[:, None] + 0.5, np.arange(labels.shape[1])[None] + 0.5
    centre, half = sides.mean(axis=0), (sides[1] - sides[0]) / 2
    middle = within & (np.abs(columns - centre[0]) <= settings.central * half[0])
    middle &= np.abs(rows - centre[1]) <= settings.central * half[1]
    central = np.bincount(labels[middle], minlength=number)
    least = max(6, _LEAST * inside.sum())
    found = []
    for label in np.flatnonzero(inside >= least).tolist():
        piece = labels == label
        depths = np.sort(z[piece & within][::4] if inside[label] > 200 else z[piece & within])
        near, far = depths[len(depths) // 20], depths[-1 - len(depths) // 20]
        goes_on = _goes_on(piece, sides, int(inside[label]), settings)
        extent = _extent(piece & within, sides)
        found.append(_Piece(label, int(inside[label]), int(central[label]), float(near), float(far), goes_on, extent))
    return found


def _extent(piece: np.ndarray, sides: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
    low, high = np.array((columns[0], rows[0])), np.array((columns[-1] + 1, rows[-1] + 1))
    return ((np.stack((low, high)) - sides[0]) / (sides[1] - sides[0])).ravel()


def _goes_on(piece: np.ndarray, sides: np.ndarray, count: int, settings: DepthSettings) -> bool:
    """Whether it does outside a side of the box, which ends where the object does."""
    for axis in (0, 1):  # along x, along y
        profile = piece.sum(axis=axis)
        for edge, step in ((sides[0, axis], 1), (sides[1, axis], -1)):
            at = round(float(edge))
            outer = profile[:at] if step > 0 else profile[at:]
            inner = profile[at : at + len(outer)] if step > 0 else profile[max(0, at - len(outer)) : at]
            if len(outer) and outer.sum() > max(settings.outside * inner.sum(), 0.03 * count):
                return True
    return False


def _chosen(
    pieces: list[_Piece], region: RegionPoints, longest: float | None, settings: DepthSettings, masked: bool
) -> list[int]:
    """Numbers of the pieces that are the object."""
    inside = region.points[region.inside][::4]
    angle = float(np.ptp(inside[:, :2] / inside[:, 2:], axis=0).max())
    if masked:
        largest = max(pieces, key=lambda piece: piece.count)
        return [piece.label for piece in _around(largest, pieces, angle, longest, settings)]
    own = [piece for piece in pieces if not piece.goes_on]
    if sum(piece.count for piece in own) < settings.min_points or not (
        any(piece.middle for piece in own) or _span(own) > _FILLS
    ):
        own = pieces
    seed = max(own, key=lambda piece: (piece.middle, piece.count))
    group = _around(seed, own, angle, longest, settings)
    total = max(1, sum(piece.middle for piece in own))
    # where the box is larger than the object can be, what is apart says nothing
    most = np.inf if longest is None else settings.max_ratio * longest / angle
    others = [piece for piece in own if piece not in group and piece.near < most]
    rivals = [piece for piece in others if piece.middle >= settings.significant * total]
    if not rivals or seed.near >= most:
        return [piece.label for piece in group]
    rival = max(rivals, key=lambda piece: piece.middle)
    behind = _around(rival, [piece for piece in own if piece not in group], angle, longest, settings)
    # the box is around the object, whatever stands before it
    fills = [_span(some) > _FILLS for some in (group, behind)]
    if fills[0] == fills[1]:
        near, far = sorted((seed, rival), key=lambda piece: piece.near)
        raise ambiguous(
            f'a surface at {near.near:.2f} m takes {near.middle / total:.0%} of the middle of the box, one behind it '
            f'at {far.near:.2f} m {far.middle / total:.0%}, further apart than '
            + ('one object is likely to be deep' if longest is None else f'the {longest:.2f} m of the object')
        )
    return [piece.label for piece in (group if fills[0] else behind)]


def _around(
    seed: _Piece, pieces: list[_Piece], angle: float, longest: float | None, settings: DepthSettings
) -> list[_Piece]:
    """The pieces that are as near to the seed as one object's can be, the nearest first."""
    reach = settings.reach * angle * seed.near if longest is None else _REACH * longest
    group, near, far = [seed], seed.near, seed.far
    reach = max(reach, seed.far - seed.near)

    def gap(piece: _Piece) -> float:
        return max(near - piece.far, piece.near - far, 0.0)

    for piece in sorted((piece for piece in pieces if piece is not seed), key=gap):
        if max(far, piece.far) - min(near, piece.near) <= reach:
            group.append(piece)
            near, far = min(near, piece.near), max(far, piece.far)
    return group


def _open_sides(
    mask: np.ndarray, cut: np.ndarray, sides: np.ndarray, box: np.ndarray, image_wh: tuple[int, int]
) -> np.ndarray:
    """(4,) bool: left, top, right, bottom."""
    at_border = np.concatenate((box[:2] < 1.5, np.asarray(box[2:]) > np.array(image_wh) - 1.5))
    found = at_border.copy()
    for axis in (0, 1):
        length = sides[1, axis] - sides[0, axis]
        strip = max(2, round(0.08 * float(length)))
        place = np.arange(mask.shape[1 - axis]) + 0.5
        for which, near in ((axis, place < sides[0, axis] + strip), (axis + 2, place > sides[1, axis] - strip)):
            part = (mask[:, near], cut[:, near]) if axis == 0 else (mask[near], cut[near])
            found[which] |= np.count_nonzero(part[1]) > 0.15 * max(1, np.count_nonzero(part[0]))
    return found
