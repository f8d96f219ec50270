# SPDX-License-Identifier: Apache-2.0
"""How likely each joint of a person is behind what depth shows at its keypoint, and how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.keypoints.body import Body
from isaac_inference.ops.keypoints.hidden.around_limbs import LimbView, limb_evidence
from isaac_inference.ops.keypoints.hidden.head import head_view
from isaac_inference.ops.keypoints.hidden.limbs import PlacedJoints, behind_what_is_seen

_UPRIGHT = np.array((0.0, -1.0, 0.0))
_SHOULDERS, _HIPS = 2, 3
_HEAD_ERROR = 0.01  # m, of where the points of anybody's head are
_HIDDEN_HEADS = 0.025  # of those that a network is sure of, by something else than the head itself
_USUAL = 1.7  # m, a stature where the bones tell none


@dataclass(frozen=True, eq=False)
class SeenJoints:
    """A person's joints as they are seen.

    Attributes:
        placed: where they are by what depth shows.
        view: the same in the depth image.
        head: (5, 2) m, x and y at the person's distance of what `Body.head` lists; NaN for what is unsure.
    """

    placed: PlacedJoints
    view: LimbView
    head: np.ndarray


@dataclass(frozen=True, eq=False)
class Hidden:
    """Of K joints, those of the skeleton about which nothing is known are taken to be seen.

    Attributes:
        probability: (K,) that it is hidden.
        behind: (K,) m, by how much it is behind its place along its ray, on average: 0 if it is seen.
        square: (K,) m^2, the mean of the square of that.
    """

    probability: np.ndarray
    behind: np.ndarray
    square: np.ndarray


def hidden_joints(seen: SeenJoints, body: Body) -> Hidden:
    """What is hidden of a person.

    Example: the ankle of a leg that is all as far away, and one before which something stands.
        >>> from isaac_inference.ops.depth.depth_image import DepthImage
        >>> from isaac_inference.ops.keypoints.body import body_of
        >>> body, pixels = body_of(['left_knee', 'left_ankle'], [(0, 1)]), np.array([(20.0, 10.0), (20.0, 50.0)])
        >>> def probability(ankle):
        ...     depth = np.full((60, 40), 3.0, np.float32)
        ...     depth[40:] = ankle
        ...     places = np.array([(0.0, -0.1, 3.0), (0.0, 0.3, ankle)])
        ...     rays, error = places / np.linalg.norm(places, axis=1)[:, None], np.full(2, 0.02)
        ...     unsure = np.zeros(2, bool)
        ...     view = LimbView(DepthImage(depth, 1.0), pixels, places[:, 2], unsure, 300.0, 2.0, 0.0015, 1.75)
        ...     seen = SeenJoints(PlacedJoints(places, rays, error, error, 1.75), view, np.full((5, 2), np.nan))
        ...     return hidden_joints(seen, body).probability
        >>> bool(probability(3.0)[1] < 0.3), bool(probability(2.5)[1] > 0.9)
        (True, True)
    """
    up = _up(seen.placed.positions, body)
    ups = np.stack([direction[:2] for direction in (_UPRIGHT, up) if np.hypot(*direction[:2]) > 0.3])
    across = seen.placed.across[np.isfinite(seen.placed.across)]
    sigma = (float(np.median(across)) if len(across) else 0.0) + _HEAD_ERROR
    head = head_view(seen.head, seen.placed.height, sigma, ups)
    odds = limb_evidence(seen.view, body).log_odds
    probability, behind, square = behind_what_is_seen(seen.placed, body, odds, head.left, up)
    there = body.head >= 0
    own = body.head[there]
    by_others = 1.0 / (1.0 + (1.0 - _HIDDEN_HEADS) / _HIDDEN_HEADS * np.exp(-odds[own]))
    probability[own] = 1.0 - (1.0 - head.away[there]) * (1.0 - by_others)
    behind[own], square[own] = head.behind[there], head.square[there]
    return Hidden(probability, behind, square)


def stature(height: float) -> float:
    """m; the usual one where the bones tell none (NaN).

    Example:
        >>> stature(1.62), stature(float('nan'))
        (1.62, 1.7)
    """
    return height if np.isfinite(height) else _USUAL


def _up(positions: np.ndarray, body: Body) -> np.ndarray:
    """(3,) unit vector from the hips to the shoulders; straight up in the image where that is not known."""
    corners = body.pairs[[_SHOULDERS, _HIPS]]
    found = [positions[pair[pair >= 0]] for pair in corners]
    found = [places[np.isfinite(places[:, 2])] for places in found]
    if not all(len(places) for places in found):
        return _UPRIGHT
    way: np.ndarray = found[0].mean(axis=0) - found[1].mean(axis=0)
    length = float(np.linalg.norm(way))
    return way / length if length > 0.1 else _UPRIGHT
