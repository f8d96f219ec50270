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
    scene, time_s = scene_seed_and_time(seed, index, scene_frames=scene_frames, rate_hz=rate_hz)
    return Scene(camera, scene).frame(time_s)


def scene_seed_and_time(seed: int, index: int, *, scene_frames: int, rate_hz: float) -> tuple[int, float]:
    """(the scene's own seed, s since its beginning) of a frame; arguments as of `shown_frame`.

    Example: of scenes of 50 frames the 76th is in the second.
        >>> scene_seed_and_time(7, 75, scene_frames=50, rate_hz=25.0)
        (7001, 1.0)
    """
    number, place = divmod(index, scene_frames) if scene_frames else (0, index)
    return seed * 1000 + number, place / rate_hz
