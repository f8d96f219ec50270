# SPDX-License-Identifier: Apache-2.0
"""Drawing vision_msgs: what AnnotateNode and the command line put on a picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from vision_msgs.msg import Detection3D

from isaac_inference.errors import FrameError
from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.ops.drawing.boxes import class_color, draw_boxes, draw_points
from isaac_inference.ops.drawing.masks import fill_masks
from isaac_inference.ops.drawing.poses import draw_axes, draw_cuboid, draw_trail
from isaac_inference.ops.drawing.skeletons import draw_skeleton
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.detections import SeenBox, Skip, usable
from isaac_inference.ros.messages.image import ImageFrame
from isaac_inference.ros.messages.masks import read_masks
from isaac_inference.ros.messages.poses import SeenObject, pose_from_message, read_object

_AXIS_SHARE = 0.6  # of the object's largest extent


class Trails:
    """Where tracked objects have been, in px, by id."""

    def __init__(self) -> None:
        self._paths: dict[str, deque[tuple[float, float]]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._paths.clear()

    def follow(self, detections: Sequence[SeenBox], length: int) -> None:
        """Add a frame's positions; an id that isn't in it any more is forgotten."""
        paths = {}
        for seen in detections:
            if seen.identity and length:
                path = deque(self._paths.get(seen.identity, ()), maxlen=length)
                path.append((seen.item.bbox.center.position.x, seen.item.bbox.center.position.y))
                paths[seen.identity] = path
        self._paths = paths

    def of(self, identity: str) -> Sequence[tuple[float, float]]:
        """An id's positions, the oldest first."""
        return self._paths.get(identity, ())


def draw_detections(picture: np.ndarray, detections: Sequence[SeenBox], trails: Trails) -> None:
    """Boxes, names, scores, ids and trails, in place; picture (H, W, 3) uint8 BGR."""
    for seen in detections:
        draw_trail(picture, trails.of(seen.identity), class_color(seen.label))
    draw_boxes(
        picture,
        np.array([_before_turn(seen) for seen in detections], np.float32).reshape(-1, 4),
        [seen.label for seen in detections],
        [f'{seen.label} {seen.score:.2f}' + (f' #{seen.identity}' if seen.identity else '') for seen in detections],
        np.array([seen.theta for seen in detections]),
    )


def draw_keypoints(picture: np.ndarray, detections: Sequence[SeenBox], keypoints: np.ndarray) -> None:
    """The keypoints of detections, in place.

    Args:
        picture: (H, W, 3) uint8 BGR.
        detections: of one message.
        keypoints: of all detections of that message, (N, K, 3): x, y in px, confidence.
    """
    for seen in detections:
        draw_points(picture, keypoints[seen.index], class_color(seen.label))


def draw_skeletons(
    picture: np.ndarray, detections: Sequence[SeenBox], keypoints: np.ndarray, skeleton: SkeletonSpec
) -> None:
    """The skeletons of detections, in place.

    Args:
        picture: (H, W, 3) uint8 BGR.
        detections: of one message.
        keypoints: of all detections of that message, (N, K, 3): x, y in px, confidence.
        skeleton: which of them are joined.

    Raises:
        FrameError: 'keypoint_count', when there are more or fewer than the skeleton has; nothing is drawn then.
    """
    count = len(skeleton.names)
    if keypoints.shape[1] != count:
        raise FrameError(
            'keypoint_count',
            f'keypoints: got {keypoints.shape[1]} of each detection, but the skeleton has {count} points; give this '
            'node the card of the model that the keypoints are from',
        )
    for seen in detections:
        draw_skeleton(picture, keypoints[seen.index], skeleton.edges, skeleton.left, skeleton.right)


def draw_masks(picture: np.ndarray, detections: Sequence[SeenBox], masks: ImageFrame, count: int) -> None:
    """The masks of detections, in place.

    Args:
        picture: (H, W, 3) uint8 BGR.
        detections: of one message.
        masks: of all detections of that message.
        count: detections in that message.

    Raises:
        FrameError: what `read_masks` raises; nothing is drawn then.
    """
    found = read_masks(masks, detections, count, (picture.shape[1], picture.shape[0]))
    fill_masks(picture, found, [seen.label for seen in detections])


def draw_poses(
    picture: np.ndarray,
    detections: Sequence[Detection3D],
    camera: CameraModel,
    T_camera_poses: Pose | None,
    skip: Skip,
) -> None:
    """Cuboids and axes, in place, of the objects that can be used.

    Args:
        picture: (H, W, 3) uint8 BGR.
        detections: objects with size and pose.
        camera: of the picture.
        T_camera_poses: from the frame that the poses are in to the camera's; None where that is the camera's own.
        skip: told of each other one: the reasons of `messages.detections`, or 'bad_pose'.
    """
    for seen, pose in usable(detections, _placed, skip):
        T_camera_object = pose if T_camera_poses is None else T_camera_poses @ pose
        draw_cuboid(picture, T_camera_object, seen.size, camera, class_color(seen.label))
        draw_axes(picture, T_camera_object, _AXIS_SHARE * max(seen.size), camera)


def _before_turn(seen: SeenBox) -> tuple[float, float, float, float]:
    if not seen.theta:
        return seen.box
    center, half_x, half_y = seen.item.bbox.center.position, seen.item.bbox.size_x / 2, seen.item.bbox.size_y / 2
    return center.x - half_x, center.y - half_y, center.x + half_x, center.y + half_y


def _placed(index: int, item: Detection3D) -> tuple[SeenObject, Pose]:
    return read_object(item), pose_from_message(item.bbox.center)
