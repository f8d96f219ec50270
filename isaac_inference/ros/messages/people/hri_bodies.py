# SPDX-License-Identifier: Apache-2.0
"""People as REP 155 (ROS4HRI) has them, where the package hri_msgs is there: hri_msgs/Skeleton2D and its like.

A Skeleton2D is one person and does not say who: REP 155 has a topic for each, `/humans/bodies/<id>/skeleton2d`, and a
list of those who are there. It holds 18 points of OpenPose's order, of which one is the neck; places are parts of the
image's width and height. A point that is unsure or outside the image has confidence 0.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from std_msgs.msg import Header

PACKAGE = 'hri_msgs'
_POINTS = (
    'nose', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder', 'left_elbow', 'left_wrist',
    'right_hip', 'right_knee', 'right_ankle', 'left_hip', 'left_knee', 'left_ankle', 'left_eye', 'right_eye',
    'left_ear', 'right_ear',
)  # fmt: skip


@functools.cache
def hri_msgs() -> Any | None:
    """The module `hri_msgs.msg`; None where the package is not installed."""
    try:
        return importlib.import_module(f'{PACKAGE}.msg')
    except ImportError:
        return None


def body_points(row: np.ndarray, names: Sequence[str], image_wh: tuple[int, int], least: float) -> np.ndarray:
    """(18, 3) float64 in OpenPose's order: x and y over the image's sides, confidence; all 0 for what is not seen.

    Args:
        row: (K, 3) x and y in px, 0 at the image's edge, and confidence.
        names: of its points; the neck is taken to be between the shoulders where there is no point of that name.
        image_wh: (width, height) in px.
        least: confidence below which a point is not given.

    Example:
        >>> row = np.array([[16.0, 30, 0.8], [48, 30, 0.6]])
        >>> points = body_points(row, ['left_shoulder', 'right_shoulder'], (64, 60), 0.3)
        >>> points[1].tolist(), points[0].tolist()
        ([0.5, 0.5, 0.6], [0.0, 0.0, 0.0])
    """
    points = np.zeros((len(_POINTS), 3))
    at = {name: index for index, name in enumerate(names)}
    for k, name in enumerate(_POINTS):
        if name in at:
            points[k] = row[at[name]]
    if 'neck' not in at and {'left_shoulder', 'right_shoulder'} <= set(at):
        pair = row[[at['left_shoulder'], at['right_shoulder']]]
        points[_POINTS.index('neck')] = (*pair[:, :2].mean(axis=0), pair[:, 2].min())
    points[:, :2] /= image_wh
    with np.errstate(invalid='ignore'):
        seen = (points[:, 2] >= least) & ((points[:, :2] >= 0.0) & (points[:, :2] <= 1.0)).all(axis=1)
    points[~seen] = 0.0
    points[:, 2] = np.minimum(points[:, 2], 1.0)
    return points


def has_body_points(names: Sequence[str]) -> bool:
    """Whether a skeleton has any of the points."""
    return bool(set(names) & set(_POINTS))


def skeleton_2d(header: Header, points: np.ndarray) -> Any:
    """A Skeleton2D of what `body_points` gives; the package is there."""
    kinds = hri_msgs()
    made = [kinds.NormalizedPointOfInterest2D(x=x, y=y, c=c) for x, y, c in points.tolist()]  # type: ignore[union-attr]
    return kinds.Skeleton2D(header=header, skeleton=made)  # type: ignore[union-attr]


def region(header: Header, box: np.ndarray, image_wh: tuple[int, int], score: float) -> Any:
    """A NormalizedRegionOfInterest2D of a box in px; the package is there."""
    low = np.clip(box[:2] / image_wh, 0.0, 1.0).tolist()
    high = np.clip(box[2:] / image_wh, 0.0, 1.0).tolist()
    kind = hri_msgs().NormalizedRegionOfInterest2D  # type: ignore[union-attr]
    return kind(header=header, xmin=low[0], ymin=low[1], xmax=high[0], ymax=high[1], c=float(score))


def ids(header: Header, names: Sequence[str]) -> Any:
    """An IdsList; the package is there."""
    return hri_msgs().IdsList(header=header, ids=list(names))  # type: ignore[union-attr]
