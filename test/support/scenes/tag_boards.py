# SPDX-License-Identifier: Apache-2.0
"""Pictures of printed tags, drawn through a known camera at known poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

CELL = 16  # px of the texture for one cell of a tag
_MARGIN = 2  # cells of white around a tag
_FINER = 4  # samples along a pixel's side


@dataclass(frozen=True)
class PrintedTag:
    """A square in space: half a side along x and y of its own frame, z towards who looks at it."""

    dictionary: str
    id: int
    size: float
    pose: Pose  # on the board

    @property
    def corners(self) -> np.ndarray:
        """(4, 3) m on the board: top left, top right, bottom right, bottom left of the upright picture."""
        half = self.size / 2
        return self.pose.apply(np.array([(-half, half, 0), (half, half, 0), (half, -half, 0), (-half, -half, 0)]))


def grid(
    columns: int, rows: int, size: float, gap: float, first: int = 0, dictionary: str = 'DICT_APRILTAG_36h11'
) -> list[PrintedTag]:
    """Tags in rows from the top left, about the origin."""
    step = size + gap
    return [
        PrintedTag(
            dictionary,
            first + row * columns + column,
            size,
            Pose(np.eye(3), np.array(((column - (columns - 1) / 2) * step, ((rows - 1) / 2 - row) * step, 0.0))),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def draw(
    tags: Sequence[PrintedTag],
    T_camera_board: Pose,
    camera: CameraModel,
    *,
    blur_px: float = 0.6,
    noise: float = 3.0,
    seed: int = 0,
    background: np.ndarray | None = None,
) -> np.ndarray:
    """(H, W) uint8: the tags on white paper before a grey wall; every pixel is the mean of 16 samples."""
    width, height = camera.width, camera.height
    picture = np.full((height, width), 110.0) if background is None else background.astype(np.float64)
    for paper in (True, False):  # no tag's paper covers its neighbour
        for tag in tags:
            _paste(picture, tag, T_camera_board, camera, paper)
    picture = cv2.GaussianBlur(picture, (0, 0), blur_px) if blur_px else picture
    picture += np.random.default_rng(seed).normal(0.0, noise, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _paste(picture: np.ndarray, tag: PrintedTag, T_camera_board: Pose, camera: CameraModel, paper: bool) -> None:
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, tag.dictionary))
    cells = dictionary.markerSize + 2
    code = cv2.aruco.generateImageMarker(dictionary, tag.id, cells)
    texture = np.kron(code, np.ones((CELL, CELL), np.uint8)) * (200 / 255) + 20.0
    margin = 0
    if paper:
        margin = _MARGIN * CELL
        texture = np.full((cells * CELL + 2 * margin,) * 2, 220.0)
    step = tag.size / (cells * CELL)
    # pixel (column, row) of the texture, edge-based, to metres on the board, to pixels of the image, edge-based
    corner, x, y = tag.corners[0], tag.corners[1] - tag.corners[0], tag.corners[3] - tag.corners[0]
    to_board = np.column_stack((x / tag.size * step, y / tag.size * step, corner))
    to_board[:, 2] -= margin * (to_board[:, 0] + to_board[:, 1])
    K = camera.K.copy()
    K[:2, 2] += 0.5
    H = K @ (T_camera_board.rotation @ to_board + np.outer(T_camera_board.translation, (0.0, 0.0, 1.0)))
    side = len(texture)
    ends = np.array([(0, 0, 1), (side, 0, 1), (side, side, 1), (0, side, 1)]) @ H.T
    ends = ends[:, :2] / ends[:, 2:]
    low = np.maximum(np.floor(ends.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(ends.max(axis=0)).astype(int) + 1, (camera.width, camera.height))
    if (high <= low).any():
        return
    wide, tall = (high - low) * _FINER
    u, v = np.meshgrid(low[0] + (np.arange(wide) + 0.5) / _FINER, low[1] + (np.arange(tall) + 0.5) / _FINER)
    back = np.linalg.inv(H) @ np.stack((u.ravel(), v.ravel(), np.ones(u.size)))
    s, t = np.floor(back[:2] / back[2]).astype(int)
    inside = (s >= 0) & (t >= 0) & (s < side) & (t < side)
    values = np.zeros(u.size)
    values[inside] = texture[t[inside], s[inside]]
    shape = (tall // _FINER, _FINER, wide // _FINER, _FINER)
    share = inside.reshape(shape).mean(axis=(1, 3))
    mean = values.reshape(shape).mean(axis=(1, 3))
    part = picture[low[1] : high[1], low[0] : high[0]]
    part[:] = part * (1.0 - share) + mean


def facing(position: Sequence[float], turn: Sequence[float] = (0.0, 0.0, 0.0)) -> Pose:
    """A board at a place in the camera's frame that looks at the camera, upright, then turned by a rotation vector."""
    return Pose(so3_exp(turn) @ so3_exp((np.pi, 0.0, 0.0)), np.array(position, float))
