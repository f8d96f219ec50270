# SPDX-License-Identifier: Apache-2.0
"""A person's keypoints and depth to joints in space: what depth does not show, or shows elsewhere, is left out.

At each joint depth may show the limb, what hides it, or what is behind it where the keypoint lies beside the limb. Of
these surfaces those are taken that one body can have: no two joints further apart than the bones between them reach.
The joint itself lies behind the skin, by as much as the body is thick there. Then every bone is held against the
person's own stature, which the bones tell together, and joints whose bones cannot be are left out. So are, last,
joints of which depth probably shows what hides them (`hidden`): the person's own trunk, head or other leg, or a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.keypoints.body import TALLEST, Body
from isaac_inference.ops.keypoints.hidden import LimbView, PlacedJoints, SeenJoints, hidden_joints, stature
from isaac_inference.ops.keypoints.joint_depth import Surface, surfaces_at

UNSURE = 'joint_unsure'
"""Why a joint is left out: its keypoint is below the minimum confidence."""
OUTSIDE = 'joint_outside'
"""Why a joint is left out: its keypoint is outside the image, where a network may guess but nothing is measured."""
NO_DEPTH = 'joint_no_depth'
"""Why a joint is left out: depth has no reading there."""
NO_BODY = 'joint_elsewhere'
"""Why a joint is left out: what depth shows there is nothing that this body reaches, such as the wall behind it."""
NO_BONE = 'joint_bone'
"""Why a joint is left out: its bones would be of no length that this person's have."""
HIDDEN = 'joint_hidden'
"""Why a joint is left out: something hides it, probably, so that depth shows that."""

_SLACK = 1.15  # people differ from the table, and keypoints from joints
_LOOSE = 0.08  # m, beside that
_SKIN = 0.01  # m, standard deviation of how far any joint lies behind the skin: clothes, hair
_AVERAGED = 0.5  # of the noise of a pixel of depth is left in the middle of a surface, whose pixels are not independent
_TRUNK = 0.04  # m, radius of joints of the trunk and the knees
_FIRST_RADIUS = 3.0  # px, before anything is known of the distance
_ALONE = 0.45  # over the stature, from a joint to the next one that is known: not an ankle without its knee
_FEW_BONES = 3  # do not tell a stature
_LAYER, _LAYER_SHARE = 3, 0.35  # fewest joints of a second body, and as a part of those of the first
_LIMIT = 2.0  # standard deviations that the length of a bone may be off, beyond its limits
_NEARER = 1.25  # how much more a surface counts than one behind it: limbs are before what is seen beside them
_SEEDS = 8  # joints that a body is built up from, to take the best


@dataclass(frozen=True)
class JointSettings:
    """When joints are believed, and how sure they are.

    Attributes:
        min_confidence: keypoints below it are left out.
        pixel_noise: px, the least standard deviation of a keypoint.
        keypoint_error: standard deviation of a keypoint as a part of its box's diagonal; both add up.
        depth_noise: m, standard deviation of depth at 1 m; grows with the square of the distance.
        depth_error: standard deviation of the depth camera's scale error, as a part of the distance.
        thickness_error: standard deviation of how far joints lie behind the skin, as a part of that.
        gap: m at 1 m, from one surface to the next.
        min_bone, max_bone: of the length that a bone of this person should have.
        min_height, max_height: m, of the stature by the bones.
        max_distance: m, of the middle of a person.
        min_joints: fewer tell nothing of each other.
        max_hidden: probability that something hides a joint, above which it is left out; below, its covariance says by
            how much it may be off for that.
    """

    min_confidence: float = 0.3
    pixel_noise: float = 1.6
    keypoint_error: float = 0.008
    depth_noise: float = 0.0015
    depth_error: float = 0.005
    thickness_error: float = 0.2
    gap: float = 0.04
    min_bone: float = 0.5
    max_bone: float = 1.35
    min_height: float = 0.8
    max_height: float = 2.3
    max_distance: float = 15.0
    min_joints: int = 3
    max_hidden: float = 0.3


@dataclass(frozen=True, eq=False)
class PersonJoints:
    """One person in space, in the camera's frame (x right, y down, z forward).

    Attributes:
        positions: (K, 3) m, NaN for a joint that is left out.
        covariances: (K, 3, 3) m^2, NaN with it.
        left_out: K reasons, '' for a joint that has a position.
        height: m, the stature by the bones; NaN where too few of them are seen.
    """

    positions: np.ndarray
    covariances: np.ndarray
    left_out: tuple[str, ...]
    height: float

    @property
    def found(self) -> np.ndarray:
        """(K,) bool, the joints that have a position."""
        return np.isfinite(self.positions[:, 2])

    def without(self, hidden: np.ndarray) -> PersonJoints:
        """The same without some joints, (K,) bool, that somebody else hides."""
        out = hidden & self.found
        if not out.any():
            return self
        positions = np.where(out[:, None], np.nan, self.positions)
        covariances = np.where(out[:, None, None], np.nan, self.covariances)
        reasons = tuple(HIDDEN if is_out else reason for reason, is_out in zip(self.left_out, out, strict=True))
        return PersonJoints(positions, covariances, reasons, self.height)


def joints_in_space(
    keypoints: np.ndarray,
    box: np.ndarray,
    camera: CameraModel,
    depth: DepthImage,
    body: Body,
    settings: JointSettings | None = None,
) -> PersonJoints:
    """The joints of one person.

    Args:
        keypoints: (K, 3) x and y in px of the colour image, 0 at its edge, and confidence 0..1.
        box: (4,) px, x_min, y_min, x_max, y_max, for how exact keypoints of a person this large are.
        camera: of the colour image; its distortion is undone.
        depth: in the same view, at any resolution.
        body: the skeleton's.
        settings: default: JointSettings().

    Raises:
        FrameError: 'keypoint_count' (not one row for each point of the body), 'person_joints' (fewer joints are sure
            and have depth than tell anything of each other), 'person_layers' (the joints are of one body, and
            of another one behind it), 'person_height' or 'person_distance' (what is seen is no person, or the unit of
            depth or the intrinsics are wrong).

    Example: three points of a board at 2 m, a focal length of 100 px; the first two are 20 px apart.
        >>> from isaac_inference.ops.keypoints.body import body_of
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> rows = np.array([[12.0, 24, 0.9], [32, 24, 0.9], [52, 24, 0.9]])
        >>> wall = DepthImage(np.full((48, 64), 2.0, np.float32), 1.0)
        >>> body = body_of(['tip', 'middle', 'end'], [(0, 1), (1, 2)])
        >>> found = joints_in_space(rows, np.array([10.0, 20, 54, 28]), camera, wall, body)
        >>> found.positions.round(3).tolist()
        [[-0.4, 0.0, 2.0], [0.0, 0.0, 2.0], [0.4, 0.0, 2.0]]
    """
    chosen = settings or JointSettings()
    check_points(keypoints, body)
    reasons = np.full(len(keypoints), '', object)
    confident = keypoints[:, 2] >= chosen.min_confidence
    inside = _inside(keypoints, camera)
    sure = confident & inside
    reasons[~inside] = OUTSIDE
    reasons[~confident] = UNSURE
    rays = np.full((len(keypoints), 3), np.nan)
    if sure.any():
        rays[sure] = np.column_stack(
            (camera.undistort(keypoints[sure, :2].astype(np.float64) - 0.5), np.ones(sure.sum()))
        )
    reasons[sure & ~np.isfinite(rays[:, 0])] = OUTSIDE  # the lens model may have no ray for the corner
    sure &= np.isfinite(rays[:, 0])
    sigma_px = float(np.hypot(chosen.pixel_noise, chosen.keypoint_error * np.hypot(*(box[2:] - box[:2]))))
    seen = _surfaces(keypoints, sure, camera, depth, body, sigma_px, chosen)
    has_depth = np.array([bool(found) for found in seen])
    reasons[sure & ~has_depth] = NO_DEPTH
    _require(int(has_depth.sum()), chosen, reasons)
    distance = float(np.median([found[0].depth for found in seen if found]))
    if distance > chosen.max_distance:
        raise FrameError(
            'person_distance',
            f'a person: got a distance of {distance:.1f} m by depth, expected up to {chosen.max_distance:g} (max_'
            'distance); is the unit of depth right?',
        )
    _check_height(_height(np.where(has_depth[:, None], rays, np.nan) * distance, body), chosen, or_more=True)
    placed = _placed(_one_body(seen, keypoints[:, 2], rays, body, TALLEST), rays, camera, body, sigma_px, chosen)
    height = _height(placed.positions, body)
    if height < TALLEST:  # now it is known whose bones they are
        taken = _one_body(seen, keypoints[:, 2], rays, body, height)
        placed = _placed(taken, rays, camera, body, sigma_px, chosen)
    positions, covariances = placed.positions, placed.covariances
    _check_layers(seen, positions, keypoints[:, 2], rays, body, height)
    reasons[has_depth & np.isnan(positions[:, 2])] = NO_BODY
    height = _drop_bad_bones(placed, keypoints[:, 2], reasons, body, chosen)
    ratio = np.array((depth.width / camera.width, depth.height / camera.height))
    view = LimbView(
        depth,
        keypoints[:, :2] * ratio,
        positions[:, 2] - body.behind / np.linalg.norm(rays, axis=1),
        reasons == UNSURE,
        camera.focal * float(ratio[0]),
        sigma_px * float(ratio[0]),
        chosen.depth_noise,
        stature(height),
    )
    _drop_hidden(placed, rays, view, reasons, body, chosen)
    found = np.isfinite(positions[:, 2])
    covariances[~found] = np.nan
    _require(int(found.sum()), chosen, reasons)
    return PersonJoints(positions, covariances, tuple(reasons.tolist()), height)


def check_points(keypoints: np.ndarray, body: Body) -> None:
    """That keypoints are those of a skeleton: (..., K, 3).

    Raises:
        FrameError: 'keypoint_count'.

    Example:
        >>> from isaac_inference.ops.keypoints.body import body_of
        >>> check_points(np.zeros((5, 2, 3)), body_of(['left_knee', 'left_ankle'], [(0, 1)]))
    """
    if keypoints.shape[-2:] != (len(body.names), 3):
        raise FrameError(
            'keypoint_count',
            f'keypoints: got shape {list(keypoints.shape)}, but the skeleton has {len(body.names)} points, expected '
            f'[..., {len(body.names)}, 3]; give this node the card of the model that the keypoints are from',
        )


def _inside(keypoints: np.ndarray, camera: CameraModel) -> np.ndarray:
    x, y = keypoints[:, 0], keypoints[:, 1]
    return np.asarray((x >= 0.0) & (y >= 0.0) & (x < camera.width) & (y < camera.height))  # NaN is not


def _require(count: int, chosen: JointSettings, reasons: np.ndarray) -> None:
    if count < chosen.min_joints:
        told = ', '.join(f'{reason} {(reasons == reason).sum()}' for reason in sorted({*reasons.tolist()} - {''}))
        raise FrameError(
            'person_joints',
            f'a person: got {count} joints with a keypoint that is sure and depth that fits the others, expected '
            f'{chosen.min_joints} or more ({told or "none"})',
        )


def _surfaces(
    keypoints: np.ndarray,
    sure: np.ndarray,
    camera: CameraModel,
    depth: DepthImage,
    body: Body,
    sigma_px: float,
    chosen: JointSettings,
) -> list[list[Surface]]:
    """What depth shows at each joint; the window is as large as the limb is in the image at the person's distance."""
    ratio = depth.width / camera.width, depth.height / camera.height
    places = [(x * ratio[0], y * ratio[1]) for x, y in keypoints[:, :2].tolist()]
    indices = np.flatnonzero(sure).tolist()
    trunk = [index for index in indices if body.radius[index] >= _TRUNK]  # is hard to miss
    depths: list[float] = []
    for some in (trunk, indices):
        if len(depths) < _FEW_BONES:
            found = [surfaces_at(depth, places[index], _FIRST_RADIUS, chosen.gap) for index in some]
            depths = [surfaces[0].depth for surfaces in found if surfaces]
    if not depths:
        return [[] for _ in places]
    focal = camera.focal * ratio[0]
    radii = np.hypot(body.radius * focal / np.median(depths), 0.7 * sigma_px * ratio[0])
    seen: list[list[Surface]] = [[] for _ in places]
    for index in indices:
        seen[index] = surfaces_at(depth, places[index], float(radii[index]), chosen.gap)
    return seen


def _one_body(
    seen: list[list[Surface]], confidences: np.ndarray, rays: np.ndarray, body: Body, height: float
) -> list[Surface | None]:
    """Of each joint's surfaces the one that belongs to the body that explains most; None for a joint without."""
    owner = np.array([joint for joint, found in enumerate(seen) for _ in found], np.intp)
    flat = [surface for found in seen for surface in found]
    depths = np.array([surface.depth for surface in flat])
    spots = rays[owner] * depths[:, None]
    spots += rays[owner] * (body.behind[owner] / np.linalg.norm(rays[owner], axis=1))[:, None]
    apart = np.linalg.norm(spots[:, None] - spots[None], axis=2)
    fits = apart <= _SLACK * height * body.reach[np.ix_(owner, owner)] + _LOOSE
    weights = np.array([surface.share for surface in flat]) * confidences[owner]
    own = {joint: np.flatnonzero(owner == joint) for joint in np.unique(owner).tolist()}
    for which in own.values():
        weights[which[depths[which].argmin()]] *= _NEARER
    strongest = sorted(own, key=lambda joint: -weights[own[joint]].max())[:_SEEDS]
    # sets of surfaces as bits: there are a few dozen, and they are met often
    together = [int.from_bytes(np.packbits(row, bitorder='little').tobytes(), 'little') for row in fits]
    weight_of = weights.tolist()
    ranked = {joint: sorted(which.tolist(), key=lambda one: -weight_of[one]) for joint, which in own.items()}
    ways = {joint: sorted(set(own) - {joint}, key=body.reach[joint].tolist().__getitem__) for joint in strongest}
    best: list[int] = []
    best_weight = -1.0
    for seed in sorted(one for joint in strongest for one in own[joint].tolist()):
        allowed, chosen, weight = together[seed], [seed], weight_of[seed]
        for joint in ways[int(owner[seed])]:
            pick = next((one for one in ranked[joint] if allowed >> one & 1), -1)
            if pick >= 0:
                chosen.append(pick)
                weight += weight_of[pick]
                allowed &= together[pick]
        if weight > best_weight:
            best, best_weight = chosen, weight
    taken: list[Surface | None] = [None] * len(seen)
    for index in best:
        taken[int(owner[index])] = flat[index]
    return taken


def _check_layers(
    seen: list[list[Surface]],
    positions: np.ndarray,
    confidences: np.ndarray,
    rays: np.ndarray,
    body: Body,
    height: float,
) -> None:
    """Refuse joints before others that are together a body, too: these may be somebody, and what hides them the joints.

    Raises:
        FrameError: 'person_layers'.
    """
    found = np.isfinite(positions[:, 2])
    if not found.any():
        return
    nearest = float(np.median(positions[found, 2]))
    others = [
        [] if is_found else [surface for surface in surfaces if surface.depth > nearest]
        for surfaces, is_found in zip(seen, found.tolist(), strict=True)
    ]
    least = max(_LAYER, _LAYER_SHARE * int(found.sum()))
    if sum(bool(surfaces) for surfaces in others) < least:
        return
    behind = _one_body(others, confidences, rays, body, height if np.isfinite(height) else TALLEST)
    depths = [surface.depth for surface in behind if surface is not None]
    if len(depths) >= least:
        raise FrameError(
            'person_layers',
            f'a person: {int(found.sum())} joints are {nearest:.2f} m away and fit each other, and so do {len(depths)} '
            f'that are {float(np.median(depths)):.2f} m away: they are of two people, or something hides most of one',
        )


@dataclass(frozen=True, eq=False)
class _Placed:
    """(K, 3) m, (K, 3, 3) m^2, and (K,) m each, the standard deviations of each joint across and along its ray."""

    positions: np.ndarray
    covariances: np.ndarray
    across: np.ndarray
    along: np.ndarray


def _placed(
    taken: list[Surface | None],
    rays: np.ndarray,
    camera: CameraModel,
    body: Body,
    sigma_px: float,
    chosen: JointSettings,
) -> _Placed:
    """Where joints are, and their covariance: across the ray by the keypoint, along it by depth, by how thick the body
    is, and by how much the surface varies over where the keypoint may be.
    """
    z = np.array([np.nan if surface is None else surface.depth for surface in taken])
    spread = np.array([np.nan if surface is None else surface.spread for surface in taken])
    unit = rays / np.linalg.norm(rays, axis=1)[:, None]
    positions = rays * z[:, None] + unit * body.behind[:, None]
    across = sigma_px / camera.focal * z
    along = np.sqrt(
        (_AVERAGED * chosen.depth_noise * z**2) ** 2
        + (chosen.depth_error * z) ** 2
        + (chosen.thickness_error * body.behind + _SKIN) ** 2
        + spread**2
    )
    ray = unit[:, :, None] * unit[:, None, :]
    covariances = across[:, None, None] ** 2 * (np.eye(3) - ray) + (along**2)[:, None, None] * ray
    return _Placed(positions, covariances, across, along)


def _height(positions: np.ndarray, body: Body) -> float:
    """m, the stature by the long bones; NaN where there are too few of them."""
    first, second = body.bones[body.is_long].T
    ratios = np.linalg.norm(positions[first] - positions[second], axis=1) / body.lengths[body.is_long]
    ratios = ratios[np.isfinite(ratios)]
    return float(np.median(ratios)) if len(ratios) >= _FEW_BONES else np.nan


def _check_height(height: float, chosen: JointSettings, or_more: bool = False) -> None:
    """Raises FrameError: 'person_height'; with `or_more` it is what the bones would be if none were foreshortened."""
    too_short = height < chosen.min_height and not or_more
    if too_short or height > chosen.max_height * (_SLACK if or_more else 1.0):  # NaN is neither
        raise FrameError(
            'person_height',
            f'a person: got a stature of {height:.2f} m{" or more" if or_more else ""} by the bones, expected '
            f'{chosen.min_height:g} to {chosen.max_height:g} (min_height, max_height); is it a picture or a toy, or '
            'are the unit of depth or the camera_info wrong?',
        )


def _drop_bad_bones(
    placed: _Placed, confidences: np.ndarray, reasons: np.ndarray, body: Body, chosen: JointSettings
) -> float:
    """Leave out, in place, joints until all distances fit the stature that the bones tell; returns that.

    Too long is a bone, or the way along several bones; too short is a bone only.

    Raises:
        FrameError: 'person_height'.
    """
    positions, height = placed.positions, np.nan
    first, second = np.triu_indices(len(positions), 1)
    linked = np.isfinite(body.reach[first, second])
    first, second = first[linked], second[linked]
    lengths = {frozenset(bone): length for bone, length in zip(body.bones.tolist(), body.lengths.tolist(), strict=True)}
    known = np.array(
        [lengths.get(frozenset(pair), np.nan) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    )
    is_bone = np.isfinite(known)
    usual = np.where(is_bone, known, body.reach[first, second])
    longest = np.where(is_bone, chosen.max_bone, _SLACK) * usual
    shortest = np.where(is_bone, chosen.min_bone * usual, 0.0)
    sigma = np.hypot(placed.across[first], placed.across[second])
    while True:
        apart = np.linalg.norm(positions[first] - positions[second], axis=1)
        there = np.isfinite(apart)
        height = _height(positions, body)
        _check_height(height, chosen)
        most = longest * (chosen.max_height if np.isnan(height) else height) + _LIMIT * sigma + _LOOSE
        least = shortest * (0.0 if np.isnan(height) else height) - _LIMIT * sigma
        with np.errstate(invalid='ignore'):
            bad = there & ((apart > most) | (apart < least))
        alone = _alone(positions, body)
        if not bad.any() and not alone.any():
            return height
        if not bad.any():
            positions[alone] = np.nan
            reasons[alone] = NO_BODY
            continue
        count = len(positions)
        accused = np.bincount(np.concatenate((first[bad], second[bad])), minlength=count)
        good = there & ~bad & is_bone
        blame = accused - 0.5 * np.bincount(np.concatenate((first[good], second[good])), minlength=count)
        worst = int(np.where(accused == 0, -np.inf, blame - 0.25 * confidences).argmax())
        positions[worst] = np.nan
        reasons[worst] = NO_BONE


def _drop_hidden(
    placed: _Placed, rays: np.ndarray, view: LimbView, reasons: np.ndarray, body: Body, chosen: JointSettings
) -> None:
    """Leave out, in place, joints that something probably hides; the others' covariance grows by that doubt."""
    found = np.isfinite(placed.positions[:, 2])
    if not found.any():
        return
    unit = rays / np.linalg.norm(rays, axis=1)[:, None]
    joints = PlacedJoints(placed.positions, unit, placed.across, placed.along, view.height)
    head = np.full((5, 2), np.nan)
    head[body.head >= 0] = rays[body.head[body.head >= 0], :2] * np.median(placed.positions[found, 2])
    hidden = hidden_joints(SeenJoints(joints, view, head), body)
    placed.covariances[:] += hidden.square[:, None, None] * (unit[:, :, None] * unit[:, None, :])
    left_out = found & (hidden.probability > chosen.max_hidden)
    placed.positions[left_out] = np.nan
    reasons[left_out] = HIDDEN


def _alone(positions: np.ndarray, body: Body) -> np.ndarray:
    """(K,) bool, joints with a position to whom too many bones lead whose other ends are not known."""
    found = np.isfinite(positions[:, 2])
    way = np.where(found[None, :] & ~np.eye(len(found), dtype=np.bool_), body.reach, np.inf).min(axis=1)
    return np.asarray(found & (way > _ALONE) & (np.isfinite(body.reach).sum(axis=1) > 1))
