# SPDX-License-Identifier: Apache-2.0
"""Joints that were put on the body of somebody else, who stands before their person and hides them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.keypoints.body import Body

_SHOULDERS, _HIPS = 2, 3
_AROUND = 0.08  # m, beside the thickness of a limb: keypoints are not exact
_TRUNK = 0.15  # m, from the lines that cross a trunk to its sides
_BEFORE = 0.1  # m, by which another one is nearer
_MOST = 0.5  # of the joints


@dataclass(frozen=True, eq=False)
class OnOthers:
    """What of one person is somebody else's.

    Attributes:
        joints: (K,) bool, those that lie on the body of another one who is nearer.
        whole: index of the other one on whose body most of the joints lie; -1 for none: then there are none of this
            person's own.
    """

    joints: np.ndarray
    whole: int = -1


def on_others(people: Sequence[np.ndarray], body: Body) -> list[OnOthers]:
    """Joints that were put on the body of another person: two are not in one place.

    A network is sure of joints that somebody else hides. Where few of them are, they are nearer than the rest; where
    most are, all of the person seems to be where the other one is, whose own joints lie less on this one's.

    Args:
        people: (K, 3) m each, the joints of one person in the camera's frame, NaN for one that is left out.
        body: of their skeleton.

    Example: the wrist of the second is where the first one's forearm is, a metre before the second.
        >>> from isaac_inference.ops.keypoints.body import body_of
        >>> body = body_of(['elbow', 'wrist', 'shoulder'], [(0, 1), (2, 0)])
        >>> first = np.array([(0.0, 0, 2), (0.2, 0, 2), (0, -0.3, 2)])
        >>> second = np.array([(0.1, -0.3, 3.0), (0.1, 0, 2), (0.1, -0.6, 3)])
        >>> [own.joints.tolist() for own in on_others([first, second], body)]
        [[False, False, False], [False, True, False]]
    """
    there = [np.isfinite(joints[:, 2]) for joints in people]
    parts = [_parts(joints, body) for joints in people]
    middles = [
        float(np.median(joints[own, 2])) if own.any() else np.nan for joints, own in zip(people, there, strict=True)
    ]
    on = {
        (row, other): there[row] & (_distances(people[row], *parts[other][:2]) < parts[other][2]).any(axis=1)
        for row in range(len(people))
        for other in range(len(people))
        if other != row
    }
    shares = {pair: float(own.sum()) / max(int(there[pair[0]].sum()), 1) for pair, own in on.items()}
    found = []
    for row in range(len(people)):
        joints, whole = np.zeros(len(body.names), np.bool_), -1
        for other in range(len(people)):
            if other == row:
                continue
            if middles[other] < middles[row] - _BEFORE:
                joints |= on[row, other]
            elif shares[row, other] >= _MOST and shares[other, row] < shares[row, other]:
                whole = other
        found.append(OnOthers(joints, whole))
    return found


def _parts(joints: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, 3) and (P, 3) m, from where to where each part of a body reaches, and (P,) m, how thick it is."""
    bones, radii = [tuple(bone) for bone in body.bones.tolist()], list(body.radius[body.bones].max(axis=1) + _AROUND)
    (left, right), (left_hip, right_hip) = body.pairs[[_SHOULDERS, _HIPS]].tolist()
    for pair in ((left, right_hip), (right, left_hip)):
        if min(pair) >= 0:
            bones.append(pair)
            radii.append(_TRUNK)
    first, second = np.array(bones, np.intp).reshape(-1, 2).T
    there = np.isfinite(joints[first, 2] + joints[second, 2])
    return joints[first[there]], joints[second[there]], np.array(radii)[there]


def _distances(points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(K, P) m from points to lines between two ends; NaN for a point that is NaN."""
    way = ends - starts
    off = points[:, None] - starts
    part = np.clip((off * way).sum(axis=2) / np.maximum((way**2).sum(axis=1), 1e-12), 0.0, 1.0)
    return np.asarray(np.linalg.norm(off - part[..., None] * way, axis=2))
