# SPDX-License-Identifier: Apache-2.0
"""What the tests of the example planner share: the file as a module, and frames of objects."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.poses import detection_3d
from support.paths import ROOT

FILE = ROOT / 'examples' / 'pick_planner.py'
SIZE = (0.15, 0.09, 0.08)
DOWN = np.array([0.0, 0.0, -1.0])


def load_planner() -> Any:
    """The example as a module, by its path, as it is no part of the package."""
    spec = importlib.util.spec_from_file_location('pick_planner', FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Thing(NamedTuple):
    """An object of a frame."""

    name: str = 'tea_box'
    identity: str = '1'
    at: tuple[float, float, float] = (0.5, 0.0, 0.04)
    score: float = 0.9
    size: tuple[float, float, float] = SIZE
    middle: tuple[float, float, float] | None = None  # of its box, where its pose is not that of the middle


CAN = Thing('can', '2', (0.3, 0.1, 0.06), 0.9, (0.085, 0.085, 0.12))


def frame(things: Sequence[Thing], number: int, frame_id: str = 'base_link') -> Detection3DArray:
    header = Header(frame_id=frame_id, stamp=Time(sec=1000 + number, nanosec=7))
    return Detection3DArray(
        header=header,
        detections=[
            detection_3d(
                header,
                t.name,
                t.score,
                Pose(np.eye(3), np.array(t.at)),
                t.size,
                identity=t.identity,
                box_center=None if t.middle is None else np.array(t.middle),
            )
            for t in things
        ],
    )
