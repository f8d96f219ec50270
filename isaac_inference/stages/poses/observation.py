# SPDX-License-Identifier: Apache-2.0
"""What a pose method is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.pose.second_pose import SecondPose


@dataclass(frozen=True, eq=False)
class Observed:
    """One detection.

    Attributes:
        label: its class name.
        score: 0..1.
        box: (4,) x_min, y_min, x_max, y_max in px of the colour image, edge-based.
        keypoints: (K, 3) x, y in px, edge-based, and confidence 0..1; None where the model has none.
        mask: (H, W) bool in px of the colour image, or None.
    """

    label: str
    score: float
    box: np.ndarray
    keypoints: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class DepthView:
    """A depth image of the colour camera's view, at any resolution, and its intrinsics."""

    image: DepthImage
    camera: CameraModel


@dataclass(frozen=True, eq=False)
class ObjectPose:
    """One object in space.

    Attributes:
        label: its class name.
        score: the detection's.
        pose: T_camera_object, optical frame; canonical where the object is symmetric. The object's frame is that of
            `ObjectSpec`.
        size: (3,) m along its axes; of the visible part where the object's own size isn't known.
        covariance: (6, 6) of (x, y, z, rotation about the camera's x, y, z), m and rad.
        method: what found it, such as 'sqpnp' or 'registration: refined'.
        box_center: (3,) m in the object's frame, the middle of the box that `size` is of; None where that is its
            origin.
        other: the second pose of a flat object, which the covariance spans too; None where there is none.
        notes: (reason, sentence) each, of what spoke against it and did not refute it, for counting.
    """

    label: str
    score: float
    pose: Pose
    size: np.ndarray
    covariance: np.ndarray
    method: str
    box_center: np.ndarray | None = None
    other: SecondPose | None = None
    notes: tuple[tuple[str, str], ...] = ()


class Method(Protocol):
    """One way to a pose."""

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        """The pose of one detection.

        Raises:
            FrameError: there is none; the reason names why.
        """
