# SPDX-License-Identifier: Apache-2.0
"""The simulator's frames in which most is lost, drawn once more from their seeds."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.worst import LostFrame, draw_lost
from isaac_inference.evaluation.worst_frames import WorstFrame
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.sim.scene import SimFrame
from isaac_inference.sim.shown import shown_frame

_SAME = 1e-6  # of a pose's matrix, m and unitless: the message's rounding


def drawn_again(
    seed: int, lost: Sequence[LostFrame], camera: CameraModel, *, first: int, scene_frames: int, rate_hz: float
) -> list[WorstFrame]:
    """A seed's frames, which are drawn when their pictures are asked for.

    That raises ConfigError where a frame is not the one that was evaluated, as when a parameter file changes the
    simulator.

    Args:
        seed: of the simulated camera.
        lost: its frames.
        camera: the simulated one.
        first: the simulator's index of record 0.
        scene_frames, rate_hz: as of `shown_frame`.
    """
    made = []
    for frame in lost:
        index = first + frame.number
        draw = functools.partial(_draw, seed, index, frame, camera, scene_frames, rate_hz)
        made.append(WorstFrame(frame.loss, seed, index, draw))
    return made


def _draw(
    seed: int, index: int, frame: LostFrame, camera: CameraModel, scene_frames: int, rate_hz: float
) -> np.ndarray:
    shown = shown_frame(camera, seed, index, scene_frames=scene_frames, rate_hz=rate_hz)
    if not _is_same(shown, frame):
        raise ConfigError(
            f"--worst: frame {index} of seed {seed} cannot be drawn again: the simulator's objects are not where "
            'the evaluated frame had them; leave sim_camera out of --params-file'
        )
    draw_lost(shown.color, frame, camera)
    return shown.color


def _is_same(shown: SimFrame, frame: LostFrame) -> bool:
    truth = frame.record.truth_poses
    poses = np.array([item.pose.matrix() for item in shown.truths]).reshape(-1, 4, 4)
    return poses.shape == truth.poses.shape and bool(np.allclose(poses, truth.poses, atol=_SAME))
