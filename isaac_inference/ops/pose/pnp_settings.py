# SPDX-License-Identifier: Apache-2.0
"""When a pose from keypoints is accepted, and what it is taken to be worth."""

from __future__ import annotations

from dataclasses import dataclass, fields

from isaac_inference.errors import ConfigError
from isaac_inference.ops.setting_ranges import require

MIN_KEYPOINTS = 4  # three allow up to four poses


@dataclass(frozen=True)
class PnpSettings:
    """When a pose from keypoints is accepted.

    Each limit in pixels has a counterpart relative to the object's extent in the image, and the larger one applies: the
    errors of a network's keypoints grow with the object's size in the image.

    Attributes:
        min_confidence: keypoints below it are ignored; 0 to 1.
        confidence_power: the standard deviation of a keypoint is taken to be inverse to this power of its confidence;
            0 ignores confidences. What a network's confidences are worth only its errors tell: those of the demo model
            grow with a power of 2 to 3, but a steeper one loses objects whose few sure keypoints err.
        min_keypoints: minimum number of keypoints, 4 or more.
        min_inliers: part of the used keypoints' confidence that must agree; above 0, up to 1. With 0.75, two of eight
            certain ones may be wrong; with 5 of 8, the mirror image of a box passes about every other time.
        inlier_px: largest distance of an inlier from its projection, in pixels.
        inlier_extent: the same as a fraction of the extent.
        outlier_probability: a keypoint further off is an inlier all the same, unless noise like that of the inliers
            brings it there less often than this; 0 to 1. At 0.001, one of 1000 keypoints that are only noisy is left
            out; at 1 the limits above are all that counts.
        max_rms_px: largest root mean square distance of the inliers, in pixels.
        max_rms_extent: the same as a fraction of the extent.
        pixel_noise: minimum standard deviation of a keypoint's x or y in the covariance, in pixels.
        tag_noise: the same for the corners of printed tags, in pixels: they are found to 0.05 to 0.15, but a print that
            is not flat or a lens that is not quite known adds to that. A single tag's two poses are told apart by it.
        min_extent_px: objects that look smaller are refused, in pixels.
        min_distance: smallest distance from the camera to the object's origin, in metres.
        max_distance: largest distance.
        max_position_std: largest standard deviation of the position over all directions, as a fraction of the distance.
        max_rotation_std: the same for the rotation, in radians.
        max_ambiguity: a flat object's second pose must fit worse: ratio of the errors, from 0 to 1; 1 accepts all.

    Raises:
        ConfigError: a value outside its range.
    """

    min_confidence: float = 0.2
    confidence_power: float = 1.0
    min_keypoints: int = MIN_KEYPOINTS
    min_inliers: float = 0.75
    inlier_px: float = 4.0
    inlier_extent: float = 0.04
    outlier_probability: float = 0.001
    max_rms_px: float = 2.5
    max_rms_extent: float = 0.025
    pixel_noise: float = 1.0
    tag_noise: float = 0.3
    min_extent_px: float = 6.0
    min_distance: float = 0.05
    max_distance: float = 100.0
    max_position_std: float = 0.3
    max_rotation_std: float = 0.6
    max_ambiguity: float = 1.0

    def __post_init__(self) -> None:
        shares = ('min_confidence', 'max_ambiguity', 'outlier_probability')
        above = ('inlier_px', 'pixel_noise', 'tag_noise', 'max_position_std', 'max_rotation_std')
        require(self, 'pnp', shares, high=1.0)
        require(self, 'pnp', ('min_inliers',), high=1.0, above=True)
        require(self, 'pnp', above, above=True)
        require(self, 'pnp', ('min_keypoints',), MIN_KEYPOINTS)
        named = {*shares, *above, 'min_inliers', 'min_keypoints'}
        require(self, 'pnp', (field.name for field in fields(self) if field.name not in named))
        if self.min_distance >= self.max_distance:
            raise ConfigError(f'min_distance: got {self.min_distance} m, expected less than {self.max_distance} m')
