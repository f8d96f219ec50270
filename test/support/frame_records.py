# SPDX-License-Identifier: Apache-2.0
"""Boxes, poses and records for tests, from few words."""

from __future__ import annotations

import numpy as np

from isaac_inference.evaluation import Boxes, FrameRecord, Poses
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

SIZE = (0.06, 0.08, 0.1)


def boxes(*items):
    """Each (class, score, (x0, y0, x1, y1)), with an id as a fourth where there is one."""
    return Boxes(
        np.array([item[2] for item in items], float).reshape(-1, 4),
        tuple(item[0] for item in items),
        np.array([item[1] for item in items], float),
        tuple(item[3] if len(item) > 3 else '' for item in items),
    )


def pose(x=0.0, y=0.0, z=1.0, turn=(0.0, 0.0, 0.0)):
    """(4, 4): a place in metres, a rotation vector in degrees."""
    return Pose(so3_exp(np.radians(turn)), np.array([x, y, z])).matrix()


def poses(*items, size=SIZE):
    """Each (class, score, matrix)."""
    return Poses(
        np.array([item[2] for item in items], float).reshape(-1, 4, 4),
        np.tile(np.array(size, float), (len(items), 1)),
        tuple(item[0] for item in items),
        np.array([item[1] for item in items], float),
        ('',) * len(items),
    )


def record(truth=(), found=(), stamp_ns=1, **fields):
    """A frame with poses only."""
    return FrameRecord(stamp_ns, boxes(), poses(*truth), poses=poses(*found), **fields)
