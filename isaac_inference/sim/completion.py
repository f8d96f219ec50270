# SPDX-License-Identifier: Apache-2.0
"""Table-top scenes in colour, with their exact depth and what a depth camera with holes makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.depth_scenes import DepthFaults, measured_depth
from isaac_inference.sim.scene import Scene
from isaac_inference.sim.sensor import SensorSettings

HOLEY = DepthFaults(holes=0.04, grazing=0.25, shadow_px=8.0)
"""More holes than `DepthFaults` has: a camera of a wider baseline, on worse surfaces."""
_EXACT = SensorSettings(depth_noise=0.0, depth_hole_edges=False)
_PATCHES = 12  # at most, of a surface that gives no depth
_LARGEST = 26  # px, half the length of one


@dataclass(frozen=True, eq=False)
class CompletionSample:
    """One frame.

    Attributes:
        color: (H, W, 3) uint8 BGR, with a camera's blur and noise.
        truth: (H, W) float32 m, exact; NaN where nothing is in range.
        measured: (H, W) float32 m, NaN for holes.
        camera: of both.
        scale: what all of `measured` is off by, as a factor; nobody who sees the frame alone can know it.
    """

    color: np.ndarray
    truth: np.ndarray
    measured: np.ndarray
    camera: CameraModel
    scale: float = 1.0


def completion_sample(seed: int, time_s: float = 0.0, faults: DepthFaults = HOLEY) -> CompletionSample:
    """A scene whose depth has specks, shadows at the left of near things, grazing surfaces and whole patches missing.

    Patches are ellipses of up to 52 px: highlights and black paint, of which depth cameras see nothing. Equal arguments
    make equal samples.

    Example:
        >>> sample = completion_sample(1)
        >>> bool(0.02 < np.isnan(sample.measured).mean() < 0.3)
        True
    """
    camera = default_camera()
    frame = Scene(camera, seed, sensor=None).frame(time_s)
    exact = Scene(camera, seed, sensor=_EXACT).frame(time_s).depth
    measured, scale = holey_depth(exact, camera, faults, np.random.default_rng([14, seed, round(time_s * 1e6)]))
    return CompletionSample(frame.color, exact, measured, camera, scale)


def holey_depth(
    exact: np.ndarray, camera: CameraModel, faults: DepthFaults, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """What a depth camera with holes makes of exact depth.

    Args:
        exact: (H, W) float32 m, NaN where nothing is in range.
        camera: which sees it.
        faults: the camera's.
        rng: of noise, holes and the scale.

    Returns:
        (H, W) float32 m, NaN for holes, and the factor that all of it is off by.
    """
    filled = np.where(np.isnan(exact), np.float32(10.0), exact)
    bias = float(rng.normal(0.0, 1.0)) * faults.bias
    measured = measured_depth(filled, _cosine(filled, camera), faults, bias, rng)
    measured[np.isnan(exact)] = np.nan
    height, width = measured.shape
    hidden = np.zeros(measured.shape, np.uint8)
    for _ in range(int(rng.integers(0, _PATCHES + 1))):
        center = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = (int(rng.integers(4, _LARGEST)), int(rng.integers(3, _LARGEST // 2)))
        cv2.ellipse(hidden, center, axes, float(rng.uniform(0, 180)), 0, 360, (1,), -1)
    measured[hidden > 0] = np.nan
    return measured, 1.0 + bias


def _cosine(depth: np.ndarray, camera: CameraModel) -> np.ndarray:
    """(H, W) float64, between each pixel's surface and its ray; 1 beside edges, where there is no one surface."""
    height, width = depth.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    ray = np.dstack(
        ((columns - camera.K[0, 2]) / camera.K[0, 0], (rows - camera.K[1, 2]) / camera.K[1, 1], np.ones(depth.shape))
    )
    points = ray * depth[..., None]
    normal = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    cosine = np.abs(np.einsum('ijk,ijk->ij', normal, ray))
    cosine /= np.maximum(np.linalg.norm(normal, axis=2) * np.linalg.norm(ray, axis=2), 1e-12)
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel) > 0.03
    cosine[jump] = 1.0
    return cosine
