# SPDX-License-Identifier: Apache-2.0
"""Pictures of the simulator's frames in which most is lost, drawn once more from their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.worst import LostFrame, draw_lost
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.sim.scene import SimFrame
from isaac_inference.sim.shown import shown_frame

_SAME = 1e-6  # of a pose's matrix, m and unitless: the message's rounding


def save_worst(
    lost: Mapping[int, Sequence[LostFrame]],
    folder: str | Path,
    count: int,
    camera: CameraModel,
    *,
    first: int,
    scene_frames: int,
    rate_hz: float,
) -> list[Path]:
    """Write the `count` worst frames of all seeds as `01_seed_7_frame_0123.png`, the worst first.

    Args:
        lost: each seed's frames.
        folder: created if missing.
        count: how many pictures at most.
        camera: the simulated one.
        first: the simulator's index of record 0.
        scene_frames, rate_hz: as of `shown_frame`.

    Raises:
        ConfigError: a frame is not the one that was evaluated, as when a parameter file changes the simulator.
    """
    ranked = sorted(((frame, seed) for seed, frames in lost.items() for frame in frames), key=lambda one: -one[0].loss)
    Path(folder).mkdir(parents=True, exist_ok=True)
    made = []
    for place, (frame, seed) in enumerate(ranked[:count], start=1):
        index = first + frame.number
        shown = shown_frame(camera, seed, index, scene_frames=scene_frames, rate_hz=rate_hz)
        if not _is_same(shown, frame):
            raise ConfigError(
                f"--worst: frame {index} of seed {seed} cannot be drawn again: the simulator's objects are not where "
                'the evaluated frame had them; leave sim_camera out of --params-file'
            )
        draw_lost(shown.color, frame, camera)
        path = Path(folder) / f'{place:02d}_seed_{seed}_frame_{index:04d}.png'
        if not cv2.imwrite(str(path), shown.color):
            raise ConfigError(f'--worst: {path} could not be written; is the folder writable?')
        made.append(path)
    return made


def _is_same(shown: SimFrame, frame: LostFrame) -> bool:
    truth = frame.record.truth_poses
    poses = np.array([item.pose.matrix() for item in shown.truths]).reshape(-1, 4, 4)
    return poses.shape == truth.poses.shape and bool(np.allclose(poses, truth.poses, atol=_SAME))
