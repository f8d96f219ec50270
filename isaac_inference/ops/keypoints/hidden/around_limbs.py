# SPDX-License-Identifier: Apache-2.0
"""What depth around arms and legs says of whether something hides a joint: as log odds.

Along a limb depth changes smoothly; where it steps towards the camera between a joint and the next one, the next one is
behind what begins there. An arm that is before the trunk is nearer than the trunk beside it, and thicker in its middle
than at its edges; one that is behind shows the trunk itself. The weights were fitted on simulated people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.keypoints.body import Body

_WRISTS, _ELBOWS, _SHOULDERS, _HIPS, _KNEES, _ANKLES = range(6)
_PARENTS = {_WRISTS: _ELBOWS, _ELBOWS: _SHOULDERS, _KNEES: _HIPS, _ANKLES: _KNEES}
_ARMS, _WIDE = (_WRISTS, _ELBOWS), (_WRISTS, _ELBOWS, _KNEES)
_BASE = -0.14
_UNSURE_PARENT = 1.0  # the network does not see the next joint either

_ALONG = np.linspace(0.0, 1.0, 15)  # parts of a bone at which depth is looked at
_STEP, _STEPS, _FAR_STEPS = 0.05, 4.0, 8.0  # m of a step that tells nothing, and of one unit beyond; units
_STEP_ODDS, _FAR_ODDS = 1.0, 0.25  # a unit of the first ones, and of those that no body is thick enough for
_STRETCH = (0.9, 0.45)  # of the way along bones, by which an arm or leg, or anything else, may be nearer than the rest
_NOISES = 2.0  # standard deviations of depth that tell nothing, either

_BESIDE = (2.5, 3.5, 4.5)  # radii beside a limb, where there is something else to be seen
_FLAT = 0.05  # m, up to which it is as far
_FLAT_ODDS = 4.0

_HALF_TRUNK, _INNER = (
    0.103,
    0.057,
)  # over the stature: beside its axis, what may be the trunk; how soon it is
_MOST_INSIDE = 1.5
_INSIDE, _BEFORE = 1.0, 1.9  # on the trunk, and for each 5 cm before it
_BEFORE_UNIT, _LEAST_BEFORE, _MOST_BEFORE = 0.05, -1.0, 2.0

_RELIEF, _RELIEF_UNIT, _LEAST_RELIEF, _MOST_RELIEF = 0.3, 0.02, -1.5, 3.0  # m that a limb stands out on both sides
_ACROSS = np.linspace(-1.0, 1.0, 21)
_BACK = np.linspace(-2.0, 0.5, 7)  # radii along the limb, where it is looked at
_EDGE = 1.3  # radii from the middle of a limb to what is beside it
_DEEP = 0.5  # m behind a limb: further is as far


@dataclass(frozen=True, eq=False)
class LimbView:
    """What is looked at: the person's joints in the depth image.

    Attributes:
        depth: the image.
        pixels: (K, 2) of the keypoints in it, 0 at its edge.
        surfaces: (K,) m, what depth shows at each; NaN for a joint that is left out.
        unsure: (K,) bool, joints that the network does not see.
        focal: px.
        sigma_px: standard deviation of the keypoints.
        noise: m, standard deviation of depth at 1 m; grows with the square of the distance.
        height: m, the stature.
    """

    depth: DepthImage
    pixels: np.ndarray
    surfaces: np.ndarray
    unsure: np.ndarray
    focal: float
    sigma_px: float
    noise: float
    height: float


@dataclass(frozen=True, eq=False)
class LimbEvidence:
    """What was seen around K joints; 0 where nothing was looked at.

    Attributes:
        is_limb: (K,) bool, joints of arms and legs.
        near, far: (K,) units of the largest step towards the camera on the way from a neighbour, of a body's thickness,
            and beyond it.
        unsure: (K,) bool, the next joint towards the trunk is not seen by the network.
        inside, before: (K,) of arms, how surely they lie on the trunk, and units that they are before it.
        relief: (K,) of arms, units by which they stand out.
        flat: (K,) of wrists, elbows and knees, whether what is seen goes on to both sides as far away.
    """

    is_limb: np.ndarray
    near: np.ndarray
    far: np.ndarray
    unsure: np.ndarray
    inside: np.ndarray
    before: np.ndarray
    relief: np.ndarray
    flat: np.ndarray

    @property
    def log_odds(self) -> np.ndarray:
        """(K,) natural logarithm of how much likelier it is of a hidden joint than of a seen one."""
        odds = _STEP_ODDS * self.near + _FAR_ODDS * self.far + _UNSURE_PARENT * self.unsure + _FLAT_ODDS * self.flat
        odds += self.inside * (_INSIDE - _BEFORE * self.before) - _RELIEF * self.relief
        return np.asarray(odds + _BASE * self.is_limb)


def limb_evidence(view: LimbView, body: Body) -> LimbEvidence:
    """Looks at depth around the joints of arms and legs, and between these and those of the trunk.

    Example: a knee at 3 m, and something half a metre before the ankle.
        >>> from isaac_inference.ops.keypoints.body import body_of
        >>> depth = np.full((60, 40), 3.0, np.float32)
        >>> depth[40:] = 2.5
        >>> pixels, surfaces = np.array([(20.0, 10.0), (20.0, 50.0)]), np.array([3.0, 2.5])
        >>> view = LimbView(DepthImage(depth, 1.0), pixels, surfaces, np.zeros(2, bool), 300.0, 2.0, 0.0015, 1.75)
        >>> limb_evidence(view, body_of(['left_knee', 'left_ankle'], [(0, 1)])).near.tolist()
        [0.0, 4.0]
    """
    count = len(body.names)
    is_limb, unsure = np.zeros((2, count), np.bool_)
    inside, before, relief, flat = np.zeros((4, count))
    pairs = [(level, parent, side) for level, parent in _PARENTS.items() for side in (0, 1)]
    joints = np.array([body.pairs[level, side] for level, _, side in pairs])
    parents = np.array([body.pairs[parent, side] for _, parent, side in pairs])
    levels = np.array([level for level, *_ in pairs])
    there = (joints >= 0) & np.isfinite(view.surfaces[joints])
    joints, parents, levels = joints[there], parents[there], levels[there]
    steps = _steps(view, body)
    if len(joints):
        is_limb[joints] = True
        unsure[joints] = view.unsure[parents] & (parents >= 0)
        arms, wide = np.isin(levels, _ARMS), np.isin(levels, _WIDE)
        if arms.any():
            inside[joints[arms]], before[joints[arms]] = _on_trunk(view, joints[arms], body)
            relief[joints[arms]] = _relief(view, joints[arms], parents[arms], body)
        if wide.any():
            flat[joints[wide]] = _is_flat(view, joints[wide], parents[wide], body)
    steps = np.maximum(steps, _nearer(view, body))
    near, far = np.minimum(steps, _STEPS), np.clip(steps - _STEPS, 0.0, _FAR_STEPS)
    return LimbEvidence(is_limb, near, far, unsure, inside, before, relief, flat)


def _steps(view: LimbView, body: Body) -> np.ndarray:
    """(K,) units of the largest step towards the camera on the way to a joint from one of its neighbours."""
    pairs = body.pairs
    ways = [(pairs[level, side], pairs[level + 1, side]) for level in range(5) for side in (0, 1)]
    ways += [(pairs[level, 0], pairs[level, 1]) for level in (_SHOULDERS, _HIPS)]
    first, second = np.array(ways).T
    known = (first >= 0) & (second >= 0) & np.isfinite(view.surfaces[first] + view.surfaces[second])
    units = np.zeros(len(body.names))
    if not known.any():
        return units
    first, second = first[known], second[known]
    starts, ends = view.pixels[first], view.pixels[second]
    seen = _nearest(view.depth, starts[:, None] + _ALONG[:, None] * (ends - starts)[:, None], 1)
    seen[:, 0], seen[:, -1] = view.surfaces[first], view.surfaces[second]
    # where the way leads beside the limb it is as far as its farther end at most: the wall behind hides nothing
    seen = np.minimum(seen, np.maximum(seen[:, :1], seen[:, -1:]))
    for joints, profile in ((second, seen), (first, seen[:, ::-1])):
        smooth = _median(np.lib.stride_tricks.sliding_window_view(np.pad(profile, ((0, 0), (2, 2)), 'edge'), 3, axis=1))
        # what is nearer up to the joint itself: another limb that crosses the way hides nothing of its ends
        farthest = np.maximum.accumulate(np.where(np.isnan(smooth), -np.inf, smooth)[:, ::-1], axis=1)[:, ::-1]
        steps = np.nan_to_num(smooth[:, :-3] - farthest[:, 3:], nan=0.0, posinf=0.0).max(axis=1)
        least = _STEP + _NOISES * view.noise * view.surfaces[joints] ** 2
        np.maximum.at(units, joints, np.maximum((steps - least) / _STEP, 0.0))
    return units


def _nearer(view: LimbView, body: Body) -> np.ndarray:
    """(K,) units by which a joint is nearer than the body reaches, from the closest one that is known; the points of a
    head, which is hidden as a whole, from the closest one of the rest.
    """
    found = np.isfinite(view.surfaces)
    if found.sum() < 2:
        return np.zeros(len(found))
    head = np.zeros(len(found), np.bool_)
    head[body.head[body.head >= 0]] = True
    surfaces = np.array(view.surfaces)
    if (head & found).any():
        surfaces[head] = np.median(surfaces[head & found])
    ways = np.where(found & ~np.eye(len(found), dtype=np.bool_) & ~(head[:, None] & head), body.reach, np.inf)
    closest = ways.argmin(axis=1)
    way = ways[np.arange(len(found)), closest]
    limbs = np.zeros(len(found), np.bool_)
    own = body.pairs[list(_PARENTS)]
    limbs[own[own >= 0]] = True
    allowed = np.where(limbs, *_STRETCH) * np.where(np.isfinite(way), way, 0.0) * view.height + _STEP
    allowed += _NOISES * view.noise * np.nan_to_num(surfaces) ** 2
    nearer = np.where(found & np.isfinite(way), surfaces[closest] - surfaces - allowed, 0.0)
    return np.asarray(np.maximum(nearer / _STEP, 0.0))


def _on_trunk(view: LimbView, joints: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """(N,) how surely each lies where the trunk is seen, 0 where that is not known, and units that it is before it."""
    corners = body.pairs[[_SHOULDERS, _HIPS]]
    if (corners < 0).any() or not np.isfinite(view.surfaces[corners]).all():
        return np.zeros(len(joints)), np.zeros(len(joints))
    top, bottom = view.pixels[corners].mean(axis=1)
    axis = bottom - top
    length = max(float(np.hypot(*axis)), 1.0)
    off = view.pixels[joints] - top
    part = np.clip(off @ axis / length**2, 0.05, 1.0)
    seen = _nearest(view.depth, top + part[:, None] * axis, 2)
    aside = np.abs(off @ np.array((-axis[1], axis[0]))) / length / view.focal * view.surfaces[joints]
    inside = np.clip((_HALF_TRUNK * view.height - aside) / (_INNER * view.height), 0.0, _MOST_INSIDE)
    before = np.nan_to_num(seen - view.surfaces[joints])
    return inside, np.clip(before / _BEFORE_UNIT, _LEAST_BEFORE, _MOST_BEFORE)


def _relief(view: LimbView, joints: np.ndarray, parents: np.ndarray, body: Body) -> np.ndarray:
    """(N,) units by which a limb stands out from what is on both sides of it, at its best place near the keypoint."""
    surfaces = view.surfaces[joints]
    radii, along, across = _axes(view, joints, parents, body)
    reach = 2.0 * view.sigma_px + 1.6 * radii
    places = (
        view.pixels[joints][:, None, None]
        + (reach[:, None] * _ACROSS)[..., None, None] * across[:, None, None]
        + (radii[:, None] * _BACK)[:, None, :, None] * along[:, None, None]
    )
    profile = _median(np.minimum(_read(view.depth, places), surfaces[:, None, None] + _DEEP))
    units = np.zeros(len(joints))
    step = reach * (_ACROSS[1] - _ACROSS[0])
    for row, (values, edge) in enumerate(zip(profile, np.maximum(np.rint(_EDGE * radii / step), 1), strict=True)):
        shift = int(edge)
        stands = np.minimum(values[: -2 * shift], values[2 * shift :]) - values[shift:-shift]
        near = np.abs(_ACROSS[shift:-shift]) * reach[row] <= 2.0 * view.sigma_px + 0.5 * radii[row]
        stands = stands[near & np.isfinite(stands)]
        if len(stands):
            units[row] = np.clip(stands.max() / _RELIEF_UNIT, _LEAST_RELIEF, _MOST_RELIEF)
    return units


def _is_flat(view: LimbView, joints: np.ndarray, parents: np.ndarray, body: Body) -> np.ndarray:
    """(N,) bool, whether depth goes on beside a limb, on both sides, as if there was none."""
    surfaces = view.surfaces[joints]
    radii, along, across = _axes(view, joints, parents, body)
    beside = radii[:, None] * np.array(_BESIDE) + 2.0 * view.sigma_px
    beside = np.stack((beside, -beside), axis=1)  # (N, 2, M)
    places = (
        view.pixels[joints][:, None, None, None]
        + beside[..., None, None] * across[:, None, None, None]
        + (radii[:, None] * _BACK)[:, None, None, :, None] * along[:, None, None, None]
    )
    seen = _median(_read(view.depth, places))  # (N, 2, M)
    deeper = _median(seen) - surfaces[:, None]
    least = _FLAT + _NOISES * view.noise * surfaces**2
    return np.asarray((np.abs(deeper) <= least[:, None]).all(axis=1))


def _axes(
    view: LimbView, joints: np.ndarray, parents: np.ndarray, body: Body
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) px, radii of limbs; (N, 2) unit vectors along them in the image (down where that is unknown), and across."""
    radii = np.maximum(body.radius[joints] * view.focal / view.surfaces[joints], 0.7)
    known = (parents >= 0) & np.isfinite(view.surfaces[parents])
    way = np.where(known[:, None], view.pixels[joints] - view.pixels[parents], 0.0)
    length = np.hypot(*way.T)
    along = np.where((length > radii)[:, None], way / np.maximum(length, 1e-9)[:, None], (0.0, 1.0))
    return radii, along, np.stack((-along[:, 1], along[:, 0]), axis=1)


def _read(depth: DepthImage, places: np.ndarray) -> np.ndarray:
    """Metres at places, (..., 2) px; NaN outside the image and without a reading."""
    x, y = np.floor(places[..., 0]).astype(np.intp), np.floor(places[..., 1]).astype(np.intp)
    inside = (x >= 0) & (y >= 0) & (x < depth.width) & (y < depth.height)
    seen = depth.at(np.where(inside, y, 0), np.where(inside, x, 0)).astype(np.float64)
    seen[~inside] = np.nan
    return seen


def _nearest(depth: DepthImage, places: np.ndarray, around: int) -> np.ndarray:
    """Metres of the nearer quarter of the pixels around places, (..., 2): of the limb where it is narrow."""
    shifts = np.arange(-around, around + 1)
    window = np.stack(np.meshgrid(shifts, shifts), axis=-1).reshape(-1, 2)
    seen = np.sort(_read(depth, places[..., None, :] + window), axis=-1)  # NaN is last
    count = np.isfinite(seen).sum(axis=-1)
    return np.asarray(np.take_along_axis(seen, np.where(count, count // 4, 0)[..., None], axis=-1)[..., 0])


def _median(values: np.ndarray) -> np.ndarray:
    """Along the last axis, of what is known; NaN of nothing."""
    values = np.sort(values, axis=-1)  # NaN is last
    count = np.isfinite(values).sum(axis=-1)[..., None]
    low, high = np.where(count, (count - 1) // 2, 0), np.where(count, count // 2, 0)
    return np.asarray((np.take_along_axis(values, low, -1) + np.take_along_axis(values, high, -1))[..., 0] / 2)
