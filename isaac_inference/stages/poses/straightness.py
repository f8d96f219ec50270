# SPDX-License-Identifier: Apache-2.0
"""Whether an image is rectified, by what is seen in it: known points fit their object through the right lens only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp
from isaac_inference.stages.poses.observation import Observed

_FEWEST = 8  # objects compared before anything is decided
_MOST = 400  # what these do not show is not shown by more
_SURE = 5.0  # standard errors between the two
_RATIO = 0.1  # logarithm of the ratio of their residuals, at least
_FLOOR_PX = 0.1  # residuals below are alike
_CELLS = 8  # along a side of the image: one object that stays in one of them is one witness, not many
_LOOSE = PnpSettings(min_inliers=0.5, inlier_px=50.0, max_rms_px=50.0)


class Straightness:
    """Compares how well the keypoints of many objects fit by both models of a camera, in pixels of the image.

    Args:
        points: class name -> (K, 3) m of its keypoints, object frame.
        raw, rectified: models of the same camera.
        min_confidence: keypoints below it are left out.
    """

    def __init__(
        self, points: Mapping[str, np.ndarray], raw: CameraModel, rectified: CameraModel, min_confidence: float
    ) -> None:
        self._points, self._cameras = points, (raw, rectified)
        self._settings = replace(_LOOSE, min_confidence=min_confidence)
        self._seen: set[tuple[str, int, int]] = set()
        self._ratios: list[float] = []
        self._answer: bool | None = None

    def put(self, objects: Iterable[Observed]) -> bool | None:
        """Take the objects of a frame; True for rectified, False for raw, None as long as neither is clear."""
        before = len(self._ratios)
        for item in objects:
            if len(self._ratios) < _MOST and item.keypoints is not None and item.label in self._points:
                self._compare(item, item.keypoints, self._points[item.label])
        if len(self._ratios) > max(before, _FEWEST - 1):
            ratios = np.array(self._ratios)
            mean, error = float(ratios.mean()), float(ratios.std(ddof=1)) / np.sqrt(len(ratios))
            self._answer = mean > 0.0 if abs(mean) > max(_RATIO, _SURE * error) else None
        return self._answer

    def _compare(self, item: Observed, keypoints: np.ndarray, points: np.ndarray) -> None:
        keypoints = keypoints[: len(points)]  # a row may be longer than this object's points
        camera = self._cameras[0]
        x_min, y_min, x_max, y_max = item.box.tolist()
        x, y = (x_min + x_max) / 2 / camera.width, (y_min + y_max) / 2 / camera.height
        cell = (item.label, int(x * _CELLS), int(y * _CELLS))
        if cell in self._seen:
            return
        try:
            raw, rectified = (self._residual(keypoints, points, camera) for camera in self._cameras)
        except FrameError:
            return
        self._seen.add(cell)
        self._ratios.append(float(np.log(max(raw, _FLOOR_PX) / max(rectified, _FLOOR_PX))))

    def _residual(self, keypoints: np.ndarray, points: np.ndarray, camera: CameraModel) -> float:
        """RMS px of the keypoints that are sure, at their best pose."""
        pose = estimate_pnp(keypoints, points, camera, self._settings).pose
        sure = keypoints[:, 2] >= self._settings.min_confidence
        off = camera.project(pose.apply(points[sure])) + 0.5 - keypoints[sure, :2]
        if not np.isfinite(off).all():
            raise FrameError('reprojection', 'a keypoint lies outside the lens model')
        return float(np.sqrt((off**2).sum(axis=1).mean()))
