# SPDX-License-Identifier: Apache-2.0
"""What depth says about a pose before anything is fitted: at which scale of the pose the object is seen.

A pose from keypoints is exact along each line of sight and as wrong in distance as the object's size is: a model that
is 10 % too large appears in the same pixels 10 % further away. What is seen along those lines is then nearer by the
same ratio everywhere on the object. Something in front of it has another shape, and so another ratio in every pixel; a
depth camera's own error is a ratio, too, but a small one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.pose.surface_fit import SeenDepth
from isaac_inference.ops.setting_ranges import require

_PREDICTED = 300
_SIGMAS = 2.5  # of the keypoints' own error
_NEAR = 3.0  # tolerances: uncertain keypoints are off by that now and then


@dataclass(frozen=True)
class EvidenceSettings:
    """When depth refutes a pose from keypoints.

    Attributes:
        max_scale_error: largest part of the distance by which depth and keypoints may differ along the line of sight,
            for another reason than their own noise, above 0 to 0.5. Depth cameras are off by 0.5 to 2 %; a size that is
            wrong by less than this can't be told from that.
        window: points whose ratios differ by less than twice this lie at one scale, above 0 to 0.1: noise and the steps
            of depth are within 0.8 % of the distance up to some 2 m.
        size_share: part of the points seen that must lie at one other scale to be called a wrong size, 0 to 1.
            Something in front that is not parallel to the object reaches a third at most; a shape that is only roughly
            the object's, such as a cylinder for a bottle, still reaches that.
        nearer_share: the same for what is nearer than a pose whose keypoints are certain, 0 to 1: nothing can be in
            front of it.
        own_share: part of them that must lie at the pose's own scale, or else depth does not confirm it, 0 to 1. Low,
            because a rough shape, a hollow one or something in front leaves little.
        min_points: fewer model points with depth say nothing, 1 or more.

    Raises:
        ConfigError: a value outside its range.
    """

    max_scale_error: float = 0.03
    window: float = 0.008
    size_share: float = 0.35
    nearer_share: float = 0.15
    own_share: float = 0.06
    min_points: int = 20

    def __post_init__(self) -> None:
        require(self, 'evidence', ('size_share', 'nearer_share', 'own_share'), 0.0, 1.0, above=True)
        require(self, 'evidence', ('max_scale_error',), 0.0, 0.5, above=True)
        require(self, 'evidence', ('window',), 0.0, 0.1, above=True)
        require(self, 'evidence', ('min_points',), 1)


@dataclass(frozen=True)
class DepthEvidence:
    """At which scale of a pose its object is seen.

    Attributes:
        scale: what is seen is this many times as far away as the pose says, where most points agree about it.
        share: part of the points with depth that lie there, 0 to 1.
        own_share: the largest part that lies at one scale within the tolerance around 1.
        tolerance: natural logarithm of a scale that noise and the camera's error explain.
        settings: that decide.
    """

    scale: float
    share: float
    own_share: float
    tolerance: float
    settings: EvidenceSettings

    def contradicts_size(self, certain: bool) -> bool:
        """Whether the object is seen at another scale, and not at its own.

        Args:
            certain: the keypoints are so certain that nothing opaque can be in front of the object. What is nearer
                than the pose is then the object itself, even where its shape is only roughly the card's: no part of an
                object is in front of the shape around it.
        """
        if self._is_own_scale:
            return False
        settings = self.settings
        if self.share >= settings.size_share and self.own_share < 0.3 * self.share:
            return True
        nearer = self.scale < 1.0 and self.share >= settings.nearer_share and self.own_share < 0.8 * self.share
        return certain and (nearer or not self.confirms)

    @property
    def confirms(self) -> bool:
        """Whether enough of the object is seen where the pose has it, up to the camera's own error."""
        at_own_scale = self.share if self._is_own_scale else self.own_share
        return at_own_scale >= self.settings.own_share

    @property
    def may_be_the_object(self) -> bool:
        """Whether so much is seen at another scale, and so near the pose's own, that it may be the object."""
        near = abs(math.log(self.scale)) <= _NEAR * self.tolerance
        return near and self.share >= self.settings.nearer_share

    @property
    def _is_own_scale(self) -> bool:
        return abs(math.log(self.scale)) <= self.tolerance


def depth_evidence(
    model: ObjectModel, depth: SeenDepth, pose: Pose, covariance: np.ndarray, settings: EvidenceSettings
) -> DepthEvidence | None:
    """Compares depth with the model's visible points, each along its line of sight; takes some 0.3 ms.

    Args:
        model: the object as the card has it.
        depth: the whole image.
        pose: T_camera_object, from keypoints.
        covariance: (6, 6) of it, as `Registration.covariance`; 2.5 standard deviations of the distance are tolerated.
        settings: when depth refutes it.

    Returns:
        None where too few points have depth.

    Example: the front of a cube of 0.2 m is seen at 0.9 m; a card that says 0.22 m puts it 10 % further away.
        >>> from isaac_inference.ops.depth.depth_image import DepthImage
        >>> from isaac_inference.ops.geometry.camera_model import CameraModel
        >>> camera = CameraModel(64, 48, np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]]))
        >>> metres = np.full((48, 64), 1.5, np.float32)
        >>> metres[13:35, 21:43] = 0.9
        >>> depth, sure = SeenDepth(DepthImage(metres, 1.0), camera), 1e-6 * np.eye(6)
        >>> for side in (0.2, 0.22):
        ...     cube = ObjectModel.build('cuboid', (side, side, side))
        ...     pose = Pose(np.eye(3), np.array([0, 0, 1.0 * side / 0.2]))
        ...     found = depth_evidence(cube, depth, pose, sure, EvidenceSettings())
        ...     print(round(found.scale, 2), found.confirms, found.contradicts_size(False))
        1.0 True False
        0.91 False True
    """
    points, _ = model.visible(pose.rotation, pose.translation, _PREDICTED)
    points = points[points[:, 2] > 0.0]
    ratios = depth.z_at(points) / points[:, 2]
    ratios = np.sort(np.log(ratios[np.isfinite(ratios) & (ratios > 0.0)]))
    count = len(ratios)
    if count < settings.min_points:
        return None
    distance = float(np.linalg.norm(pose.translation))
    ray = pose.translation / distance
    spread = math.sqrt(float(ray @ covariance[:3, :3] @ ray)) / distance
    tolerance = math.hypot(settings.max_scale_error, _SIGMAS * spread)
    # of all windows that begin at a point: how many points it holds
    counts = np.searchsorted(ratios, ratios + 2.0 * settings.window, 'right') - np.arange(count)
    first = int(counts.argmax())
    scale = math.exp(float(np.median(ratios[first : first + counts[first]])))
    own = counts[np.abs(ratios + settings.window) <= tolerance]
    own_share = int(own.max()) / count if len(own) else 0.0
    return DepthEvidence(scale, int(counts[first]) / count, own_share, tolerance, settings)
