# SPDX-License-Identifier: Apache-2.0
"""Which joints of trunk, arms and legs are behind what depth shows of them: all ways of a body, weighed.

Each joint is where depth shows it, or further along its ray, behind what hides it. Of these places those go together
between which bones have their lengths: the shoulders of somebody seen from the side are a shoulder's breadth apart, so
one of them is hidden; and neither elbows nor knees reach far to the other side. Left and right are taken together, so
that wrists, elbows, shoulders, hips, knees and ankles are a chain of six pairs, and the probability of each place
follows exactly, by the forward-backward algorithm (sum-product on a chain). The weights were fitted on simulated
people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.keypoints.body import Body

_WRISTS, _ELBOWS, _SHOULDERS, _HIPS, _KNEES, _ANKLES = range(6)
_BONES = (0.146, 0.186, 0.29, 0.245, 0.246)  # over the stature, from each pair to the next
_BREADTHS = {_SHOULDERS: 0.23, _HIPS: 0.12}
_DIAGONAL = float(np.hypot(0.29, 0.175))  # from a shoulder to the other hip
_RADII = (0.022, 0.03, 0.0, 0.0, 0.045, 0.03)  # m, of limbs, which are not in the same place
_BEHIND = np.array((0.0, 0.06, 0.11, 0.17, 0.24, 0.33, 0.45, 0.6, 0.85, 1.2))  # m, places behind what is seen
_APART = np.gradient(_BEHIND)
_DEPTH_SCALE = 0.37  # m, places further behind are less likely by exp(-depth / this)
_HIDDEN = 0.18  # of the joints that a network is sure of, before anything is seen
_BONE_ERROR, _BREADTH_ERROR, _DIAGONAL_ERROR = 0.11, 0.15, 0.1  # standard deviations as a part of the length
_ODD = 0.001  # likelihood of a length that cannot be: a keypoint is wrong
_TURN = 2.5  # how much the trunk goes the way of the head (von Mises)
_GUESSES = 16  # places of a shoulder or hip that is not known, about the other one
_GUESS_ERROR = (0.08, 0.06)  # m, of such a place
_INWARD, _INWARD_SIGMA, _INWARD_ODD = 0.106, 0.12, 0.01  # of a bone: how far elbows and knees reach to the other side
_TOGETHER = 0.35  # log of the odds of a hidden joint beside a seen one
_SAME = 0.005  # likelihood of two limbs in one place


@dataclass(frozen=True, eq=False)
class PlacedJoints:
    """Where joints are by what depth shows of them.

    Attributes:
        positions: (K, 3) m in the camera's frame, NaN for one that is left out.
        rays: (K, 3) unit vectors through the keypoints.
        across, along: (K,) m, standard deviations across and along the rays.
        height: m, the stature.
    """

    positions: np.ndarray
    rays: np.ndarray
    across: np.ndarray
    along: np.ndarray
    height: float


@dataclass(frozen=True, eq=False)
class _Joint:
    """(S, 3) m, places; (S,) their weights and (S,) m errors along the ray; one across it. Guesses have no ray."""

    places: np.ndarray
    weights: np.ndarray
    along: np.ndarray
    across: float = 0.0
    ray: np.ndarray | None = None

    @property
    def is_known(self) -> bool:
        return len(self.places) > 0


_UNKNOWN = _Joint(np.empty((0, 3)), np.ones(1), np.zeros(1))


def behind_what_is_seen(
    seen: PlacedJoints, body: Body, log_odds: np.ndarray, left: np.ndarray, up: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K,) probability that a joint is hidden; (K,) m and m^2, mean and mean square of how far it is behind its place.

    They are 0 for joints that are left out, and for others than those of `body.pairs`.

    Args:
        seen: where joints are.
        body: the skeleton's.
        log_odds: (K,) of each being hidden, by what depth shows around it.
        left: (3,) towards the person's left, by the head; shorter than 1 by as much as that is unsure.
        up: (3,) unit vector along the trunk.

    Example: two shoulders of somebody who is seen from the side, at the same depth: either may be the hidden one.
        >>> from isaac_inference.ops.keypoints.body import body_of
        >>> body = body_of(['left_shoulder', 'right_shoulder'], [(0, 1)])
        >>> places = np.array([(0.0, 0.0, 3.0), (0.04, 0.0, 3.0)])
        >>> error, rays = np.full(2, 0.02), places / np.linalg.norm(places, axis=1)[:, None]
        >>> seen = PlacedJoints(places, rays, error, error, 1.75)
        >>> hidden, _, _ = behind_what_is_seen(seen, body, np.zeros(2), np.zeros(3), np.array([0.0, -1, 0]))
        >>> bool((hidden > 0.4).all() and (hidden < 0.6).all())
        True
    """
    joints = _joints(seen, body, log_odds, left, up)
    pairs = [_pair(level, joints[level], seen.height, left) for level in range(6)]
    steps = [_step(level, joints, seen.height) for level in range(5)]
    results = np.zeros((3, len(body.names)))
    for level, weights in enumerate(_marginals(pairs, steps)):
        for side in (0, 1):
            index = body.pairs[level, side]
            if index >= 0 and joints[level][side].ray is not None:
                share = weights.sum(axis=1 - side)
                results[:, index] = 1.0 - share[0], share @ _BEHIND, share @ _BEHIND**2
    return results[0], results[1], results[2]


def _joints(
    seen: PlacedJoints, body: Body, log_odds: np.ndarray, left: np.ndarray, up: np.ndarray
) -> list[list[_Joint]]:
    """By level and side, with guesses for shoulders and hips of whom only the other one is known."""
    deeper = np.exp(-_BEHIND / _DEPTH_SCALE) * _APART
    deeper[0] = 0.0
    prior = _HIDDEN * deeper / deeper.sum()
    prior[0] = 1.0 - _HIDDEN
    made = [[_UNKNOWN, _UNKNOWN] for _ in range(6)]
    for level, side in np.ndindex(6, 2):
        index = body.pairs[level, side]
        if index >= 0 and np.isfinite(seen.positions[index, 2]):
            weights = np.array(prior)
            weights[0] *= np.exp(-log_odds[index])
            ray = seen.rays[index]
            along = np.hypot(seen.along[index], np.where(_BEHIND > 0.0, _APART / 3.0, 0.0))
            places = seen.positions[index] + _BEHIND[:, None] * ray
            made[level][side] = _Joint(places, weights, along, float(seen.across[index]), ray)
    angles = np.arange(_GUESSES) * (2.0 * np.pi / _GUESSES)
    level_axis = np.cross(up, (0.0, 0.0, 1.0))
    if np.linalg.norm(level_axis) < 0.1:
        level_axis = np.array((1.0, 0.0, 0.0))
    level_axis /= np.linalg.norm(level_axis)
    around = np.cos(angles)[:, None] * level_axis + np.sin(angles)[:, None] * np.cross(level_axis, up)
    weights = np.exp(_TURN * (around @ left))
    for level, breadth in _BREADTHS.items():
        for side in (0, 1):
            other = made[level][1 - side]
            if not made[level][side].is_known and other.ray is not None:
                places = other.places[0] + (1.0 - 2.0 * side) * breadth * seen.height * around
                made[level][side] = _Joint(places, weights / weights.sum(), np.zeros(_GUESSES))
    return made


def _pair(level: int, both: list[_Joint], height: float, left: np.ndarray) -> np.ndarray:
    """(S, S') weights of the places of left and right together."""
    first, second = both
    weights = first.weights[:, None] * second.weights[None]
    if first.ray is None or second.ray is None:
        return weights
    way = first.places[:, None] - second.places[None]
    apart = np.linalg.norm(way, axis=2)
    if level in _BREADTHS:
        turn = np.exp(_TURN * (way @ left) / (apart + 0.02))
        return np.asarray(weights * turn * _bone(first, second, _BREADTHS[level] * height, _BREADTH_ERROR))
    return np.asarray(weights * (1.0 - (1.0 - _SAME) * np.exp(-0.5 * (apart / (1.2 * _RADII[level])) ** 2)))


def _step(level: int, joints: list[list[_Joint]], height: float) -> np.ndarray:
    """(S1, S2, S1', S2') likelihood of the places of a pair (left, right) and of the next one towards the feet."""
    (upper_left, upper_right), (lower_left, lower_right) = joints[level], joints[level + 1]
    length = _BONES[level] * height
    on_left = _bone(upper_left, lower_left, length, _BONE_ERROR) * _alike(upper_left, lower_left)
    on_right = _bone(upper_right, lower_right, length, _BONE_ERROR) * _alike(upper_right, lower_right)
    both = on_left[:, None, :, None] * on_right[None, :, None, :]
    if level == _SHOULDERS:
        both = both * _bone(upper_left, lower_right, _DIAGONAL * height, _DIAGONAL_ERROR)[:, None, None, :]
        both = both * _bone(upper_right, lower_left, _DIAGONAL * height, _DIAGONAL_ERROR)[None, :, :, None]
    elif level == _ELBOWS:  # the next pair is that of the trunk
        inward = _inward(joints[_SHOULDERS], joints[_ELBOWS], length)
        both = both * inward[0].transpose(2, 0, 1)[:, None] * inward[1].transpose(2, 0, 1)[None]
    elif level == _HIPS:
        inward = _inward(joints[_HIPS], joints[_KNEES], length)
        both = both * inward[0][:, :, :, None] * inward[1][:, :, None, :]
    return np.asarray(both)


def _bone(first: _Joint, second: _Joint, length: float, error: float) -> np.ndarray:
    """(S, S') likelihood of a length [m] whose standard deviation is a part of it; 1 where that tells nothing."""
    if not first.is_known or not second.is_known or (first.ray is None and second.ray is None):
        return np.ones((len(first.weights), len(second.weights)))
    way = first.places[:, None] - second.places[None]
    apart = np.linalg.norm(way, axis=2) + 1e-9
    if first.ray is None or second.ray is None:
        expected, variance = np.hypot(length, _GUESS_ERROR[1]), (error * length) ** 2 + _GUESS_ERROR[0] ** 2
        return np.asarray(0.5 * np.exp(-0.5 * (apart - expected) ** 2 / variance) + _ODD)
    ray = first.ray + second.ray
    deep = (way @ (ray / np.linalg.norm(ray)) / apart) ** 2  # part of the way that is along the rays
    across = first.across**2 + second.across**2
    along = first.along[:, None] ** 2 + second.along[None] ** 2
    variance = across * (1.0 - deep) + along * deep + (error * length) ** 2
    expected = np.sqrt(length**2 + across * (1.0 + deep) + along * (1.0 - deep))  # noise makes the way longer
    return np.asarray(0.05 / np.sqrt(variance) * np.exp(-0.5 * (apart - expected) ** 2 / variance) + _ODD)


def _alike(first: _Joint, second: _Joint) -> np.ndarray:
    """(S, S') of two joints that are joined, mostly both are hidden or none."""
    likely = np.ones((len(first.weights), len(second.weights)))
    if first.ray is not None and second.ray is not None:
        likely[0, 1:] = likely[1:, 0] = _TOGETHER
    return likely


def _inward(trunk: list[_Joint], limbs: list[_Joint], length: float) -> list[np.ndarray]:
    """For left and right (S1, S2, S): how likely the next joint is so far on the trunk's other side."""
    left, right = trunk
    found = []
    for side, limb in enumerate(limbs):
        if not (left.is_known and right.is_known and limb.is_known):
            found.append(np.ones((len(left.weights), len(right.weights), len(limb.weights))))
            continue
        axis = left.places[:, None] - right.places[None]
        axis = axis / (np.linalg.norm(axis, axis=2, keepdims=True) + 0.05)
        own = left.places[:, None, None] if side == 0 else right.places[None, :, None]
        inward = (2.0 * side - 1.0) * ((limb.places[None, None] - own) * axis[:, :, None]).sum(axis=3)
        beyond = np.maximum(0.0, inward / length - _INWARD) / _INWARD_SIGMA
        found.append(_INWARD_ODD + (1.0 - _INWARD_ODD) * np.exp(-0.5 * beyond**2))
    return found


def _marginals(pairs: list[np.ndarray], steps: list[np.ndarray]) -> list[np.ndarray]:
    """The probability of each pair's places, by all of the chain."""
    flat = [pair.ravel() for pair in pairs]
    ways = [step.reshape(len(flat[k]), len(flat[k + 1])) for k, step in enumerate(steps)]
    forward, backward = [flat[0]], [np.ones(len(flat[-1]))]
    for way, own in zip(ways, flat[1:], strict=True):
        reached = (forward[-1] @ way) * own
        forward.append(reached / reached.sum())
    for way, own in zip(ways[::-1], flat[:0:-1], strict=True):
        reached = way @ (backward[0] * own)
        backward.insert(0, reached / reached.sum())
    found = [(ahead * behind).reshape(pair.shape) for ahead, behind, pair in zip(forward, backward, pairs, strict=True)]
    return [weights / weights.sum() for weights in found]
