# SPDX-License-Identifier: Apache-2.0
"""Pose from keypoints: where the object's known points are seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models import AnyCard, ObjectSpec
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed


class KeypointMethod:
    """PnP on the points that the card gives each class."""

    def __init__(self, card: AnyCard, settings: PnpSettings) -> None:
        self._objects = card.objects
        self._points = model_points(card)
        self._symmetries = symmetries_of(card.objects)
        self._settings, self._of_tags = settings, replace(settings, pixel_noise=settings.tag_noise)

    def knows(self, label: str) -> bool:
        """Whether the card says where this class's keypoints are on the object."""
        return label in self._points

    def points(self, label: str) -> np.ndarray:
        """(K, 3) m of a known class's keypoints in the object's frame."""
        return self._points[label]

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None = None) -> ObjectPose:
        """PnP; depth isn't looked at."""
        if seen.keypoints is None:
            raise FrameError(
                'no_keypoints',
                f'{seen.label}: no keypoints of this stamp came; remap keypoints to the topic of '
                'the detector, which has one row for each detection',
            )
        if seen.label not in self._points:
            raise FrameError(
                'no_object_model',
                f'{seen.label}: the card does not say where its keypoints are; add objects.{seen.label}.size: [x, y, '
                'z] in metres where they are the corners of its cuboid (keypoints: {model: cuboid8}), else '
                f'objects.{seen.label}.keypoints',
            )
        points = self._points[seen.label]
        settings = self._of_tags if self._objects[seen.label].tags else self._settings
        found = estimate_pnp(seen.keypoints, points, camera, settings, self._symmetries.get(seen.label, ()))
        size, middle = self._objects[seen.label].size, None
        if size is None:  # the box is that of the points, wherever on the object they are
            size, middle = np.ptp(points, axis=0), (points.min(axis=0) + points.max(axis=0)) / 2
        covariance = np.zeros((6, 6)) if found.covariance is None else found.covariance
        return ObjectPose(
            seen.label, seen.score, found.pose, np.asarray(size, float), covariance, found.method, middle, found.other
        )


def model_points(card: AnyCard) -> dict[str, np.ndarray]:
    """Class name -> (K, 3) m of its keypoints in the object's frame, for the classes where the card says it."""
    points = {}
    for name, spec in card.objects.items():
        if spec.keypoints is not None:
            points[name] = np.asarray(spec.keypoints, float)
        elif card.keypoints is not None and card.keypoints.model == 'cuboid8' and spec.size is not None:
            points[name] = cuboid_corners(spec.size)
    return points


def symmetries_of(objects: Mapping[str, ObjectSpec]) -> dict[str, tuple[Symmetry, ...]]:
    """Class name -> its symmetries."""
    return {name: tuple(Symmetry(axis, order) for axis, order in spec.symmetries) for name, spec in objects.items()}
