# SPDX-License-Identifier: Apache-2.0
"""Which frame a simulated camera shows when: scene by scene, from a seed."""

from __future__ import annotations

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.sim.scene import Scene, SimFrame


def shown_frame(camera: CameraModel, seed: int, index: int, *, scene_frames: int, rate_hz: float) -> SimFrame:
    """The frame that SimCameraNode shows as number `index` with these parameters and six objects.

    Args:
        camera: its intrinsics and distortion.
        seed: of the camera.
        index: from 0, over all scenes.
        scene_frames: frames per scene; 0: there is one scene.
        rate_hz: frames per second of the scene's time.
    """
    number, place = divmod(index, scene_frames) if scene_frames else (0, index)
    return Scene(camera, seed * 1000 + number).frame(place / rate_hz)
