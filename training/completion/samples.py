# SPDX-License-Identifier: Apache-2.0
"""Frames to learn completion from: simulated tables from anywhere, and layers of shapes that are like no place at all.

The layers are there so that the network learns what edges, planes and holes are, and not what tables look like.
"""

from __future__ import annotations

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.sim.completion import CompletionSample, holey_depth
from isaac_inference.sim.depth_scenes import DepthFaults
from isaac_inference.sim.samples import SIZE, random_sensor, random_view
from isaac_inference.sim.sensor import sense_color

LAYERS = 0.45
"""Part of the frames that are layers."""


def completion_frame(rng: np.random.Generator) -> CompletionSample:
    """A frame with everything random: what is seen, colours, and the faults of both cameras."""
    color, exact, camera = _layers(rng) if rng.random() < LAYERS else _table(rng)
    faults = DepthFaults(
        noise=rng.uniform(0.0003, 0.003),
        bias=0.005,
        step=rng.uniform(0.0005, 0.004),
        mixed=rng.uniform(0.0, 0.8),
        holes=rng.uniform(0.0, 0.08),
        grazing=rng.uniform(0.05, 0.3),
        shadow_px=rng.uniform(0.0, 14.0),
        shift_px=rng.uniform(0.0, 1.0),
    )
    measured, scale = holey_depth(exact, camera, faults, rng)
    return CompletionSample(sense_color(color, random_sensor(rng), rng), exact, measured, camera, scale)


def _table(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, CameraModel]:
    arranged, _, view = random_view(rng)
    return view.color, view.depth, arranged.camera


def _layers(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, CameraModel]:
    """Slanted and round shapes, the nearer in front of the farther, in any colours."""
    width, height = SIZE
    focal = rng.uniform(400, 800)
    K = np.array([(focal, 0, width / 2), (0, focal, height / 2), (0, 0, 1)])
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-0.75, 0.75, height, dtype=np.float32))
    inverse = _plane(rng, x, y, rng.uniform(0.15, 0.8))
    color = _paint(rng, x, y)
    for nearness in np.sort(rng.uniform(0.0, 1.0, int(rng.integers(3, 16)))):
        inside, bulge = _shape(rng, x, y)
        surface = _plane(rng, x, y, rng.uniform(0.2, 0.5) + 1.6 * nearness) + bulge * rng.uniform(0.0, 0.4)
        shown = inside & (surface > inverse)
        inverse[shown] = surface[shown]
        paint = _paint(rng, x, y) if rng.random() < 0.85 else color  # some have the colours of what is behind
        color[shown] = paint[shown]
    return color, np.asarray(1.0 / np.clip(inverse, 0.12, 4.0), np.float32), CameraModel(width, height, K, (), 'none')


def _plane(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, middle: float) -> np.ndarray:
    """(H, W) float32 1/m; the inverse depth of a plane is linear in the image."""
    slopes = rng.normal(0, 0.25, 2) * (rng.random() < 0.8)
    return np.asarray(middle * (1 + slopes[0] * x + slopes[1] * y), np.float32)


def _shape(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((H, W) bool, (H, W) float32 0..1 towards its middle)."""
    turn, center = rng.uniform(0, np.pi), rng.uniform((-1, -0.75), (1, 0.75))
    u = (x - center[0]) * np.cos(turn) + (y - center[1]) * np.sin(turn)
    v = -(x - center[0]) * np.sin(turn) + (y - center[1]) * np.cos(turn)
    a, b = rng.uniform(0.05, 0.5), rng.uniform(0.012, 0.4)
    u, v = u / np.float32(a), v / np.float32(b)
    if rng.random() < 0.5:
        away = u * u + v * v
        return away < 1, np.sqrt(np.maximum(1 - away, 0))
    skew = np.float32(rng.uniform(-0.5, 0.5))
    inside = (np.abs(u + skew * v) < 1) & (np.abs(v) < 1)
    return inside, np.zeros_like(u)


def _paint(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a colour with a gradient, and now and then stripes, checks or blotches."""
    base = rng.uniform(10, 245, 3)
    picture = base + rng.normal(0, 25) * x[..., None] + rng.normal(0, 25) * y[..., None]
    choice, strength = rng.random(), rng.normal(0, 40, 3)
    if choice < 0.3:
        turn, rate = rng.uniform(0, np.pi), rng.uniform(8, 90)
        stripes = np.sign(np.sin(rate * (x * np.cos(turn) + y * np.sin(turn))))
        if choice < 0.12:
            stripes *= np.sign(np.sin(rate * (y * np.cos(turn) - x * np.sin(turn))))
        picture += stripes[..., None] * strength
    elif choice < 0.7:
        cells = int(rng.integers(4, 120))
        small = rng.standard_normal((cells * 3 // 4 + 1, cells + 1)).astype(np.float32)
        picture += cv2.resize(small, x.shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None] * strength
    return np.clip(picture, 0, 255).astype(np.uint8)
