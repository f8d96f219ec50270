# SPDX-License-Identifier: Apache-2.0
"""Drawing vision_msgs: what AnnotateNode and the command line put on a picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D

from isaac_inference.ops.drawing.boxes import class_color, draw_boxes
from isaac_inference.ops.drawing.poses import draw_axes, draw_cuboid, draw_trail
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.detection_reading import box_corners
from isaac_inference.ros.messages.poses import pose_from_message

_AXIS_SHARE = 0.6  # of the object's largest extent


class Trails:
    """Where tracked objects have been, in px, by id."""

    def __init__(self) -> None:
        self._paths: dict[str, deque[tuple[float, float]]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._paths.clear()

    def follow(self, message: Detection2DArray, length: int) -> None:
        """Add a frame's positions; an id that isn't in it any more is forgotten."""
        paths = {}
        for item in message.detections:
            if item.id and length:
                path = deque(self._paths.get(item.id, ()), maxlen=length)
                path.append((item.bbox.center.position.x, item.bbox.center.position.y))
                paths[item.id] = path
        self._paths = paths

    def of(self, identity: str) -> Sequence[tuple[float, float]]:
        """An id's positions, the oldest first."""
        return self._paths.get(identity, ())


def draw_detections(picture: np.ndarray, detections: Sequence[Detection2D], trails: Trails) -> None:
    """Boxes, names, scores, ids and trails, in place; picture (H, W, 3) uint8 BGR."""
    named = [item for item in detections if item.results]
    best = [item.results[0].hypothesis for item in named]
    for item, hypothesis in zip(named, best, strict=True):
        draw_trail(picture, trails.of(item.id), class_color(hypothesis.class_id))
    draw_boxes(
        picture,
        np.array([box_corners(item) for item in named], np.float32).reshape(-1, 4),
        [hypothesis.class_id for hypothesis in best],
        [
            f'{hypothesis.class_id} {hypothesis.score:.2f}' + (f' #{item.id}' if item.id else '')
            for item, hypothesis in zip(named, best, strict=True)
        ],
    )


def draw_poses(
    picture: np.ndarray,
    detections: Sequence[Detection3D],
    camera: CameraModel,
    T_camera_poses: Pose | None = None,
) -> None:
    """Cuboids and axes, in place.

    Args:
        picture: (H, W, 3) uint8 BGR.
        detections: objects with size and pose.
        camera: of the picture.
        T_camera_poses: from the frame that the poses are in to the camera's; None where that is the camera's own.

    Raises:
        FrameError: 'bad_pose', a pose isn't finite or its quaternion is zero.
    """
    for item in detections:
        pose = pose_from_message(item.bbox.center)
        if T_camera_poses is not None:
            pose = T_camera_poses @ pose
        size = (item.bbox.size.x, item.bbox.size.y, item.bbox.size.z)
        name = item.results[0].hypothesis.class_id if item.results else ''
        draw_cuboid(picture, pose, size, camera, class_color(name))
        draw_axes(picture, pose, _AXIS_SHARE * max(size), camera)
