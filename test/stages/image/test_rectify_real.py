# SPDX-License-Identifier: Apache-2.0
"""Four real fisheye cameras of a car: what OpenCV makes of them, and chessboard edges on the ground become straight."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.paths import DATA

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.geometry.calibration import Calibration
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.stages.image.rectifier import Rectifier

CAMERAS = sorted((DATA / 'fisheye' / 'surround4').glob('*.yaml'))
ZOOM = 0.6  # of the focal length: a field of view of 116 degrees

pytestmark = pytest.mark.skipif(not CAMERAS, reason=f'no {DATA / "fisheye" / "surround4"}')


def camera(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, K, D and the K of the rectified image."""
    image = cv2.imread(str(path.with_suffix('.png')))
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    K, D = file.getNode('camera_matrix').mat(), file.getNode('dist_coeffs').mat().ravel()
    file.release()
    flat = K.copy()
    flat[(0, 1), (0, 1)] *= ZOOM
    return image, K, D, flat


def rectification(image: np.ndarray, K: np.ndarray, D: np.ndarray, flat: np.ndarray) -> Rectification:
    height, width = image.shape[:2]
    P = np.column_stack((flat, np.zeros(3)))
    said = Calibration(width, height, 'fisheye', tuple(D), tuple(K.ravel()), tuple(P.ravel()))
    return Rectification.between(said, (width, height))


@pytest.mark.parametrize('path', CAMERAS, ids=lambda path: path.stem)
def test_it_is_opencv_s_map_and_picture(path: Path) -> None:
    image, K, D, flat = camera(path)
    height, width = image.shape[:2]
    maps = cv2.fisheye.initUndistortRectifyMap(K, D, np.eye(3), flat, (width, height), cv2.CV_32FC1)
    made = rectification(image, K, D, flat)
    places = made.raw_pixels(np.arange(width), np.arange(height))
    np.testing.assert_allclose(places, np.stack(maps, axis=-1), atol=2e-3)
    found = Rectifier(PreprocessSpec(color='bgr', scale=1.0, pad_value=0)).picture(image, made)
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    inside = ((places > 0) & (places < (width - 1, height - 1))).all(axis=2)
    assert inside.mean() > 0.9
    difference = np.abs(found.astype(int) - expected)[inside]
    assert difference.mean() < 0.01
    assert made.doubt() == ''


def bend(points: np.ndarray) -> tuple[float, float]:
    """Sagitta of a row of points, as a part of their chord, and their RMS distance from that arc in px."""
    centred = points - points.mean(axis=0)
    along, across = (centred @ np.linalg.svd(centred, full_matrices=False)[2].T).T
    along /= np.ptp(along) / 2
    parabola = np.polyfit(along, across, 2)
    chord = float(np.linalg.norm(points[-1] - points[0]))
    return abs(float(parabola[0])) / chord, float(np.std(across - np.polyval(parabola, along)))


def edges_on_the_mat(image: np.ndarray) -> list[np.ndarray]:
    """Long edges between dark and bright squares, each by its two ends, (2, 2) px."""
    gray = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (0, 0), 1.0)
    segments = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(gray)[0]
    return [
        segment.reshape(2, 2) for segment in segments if np.linalg.norm(np.diff(segment.reshape(2, 2), axis=0)) > 90
    ]


def subpixel_edge(gray: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(N, 2) where, across the line between two ends, brightness changes most; those clearly on an edge."""
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    across = np.array((-along[1], along[0])) / length
    steps = np.arange(-8, 8.25, 0.25)
    found = []
    for share in np.linspace(0.05, 0.95, 40):
        line = (ends[0] + share * along + steps[:, None] * across).astype(np.float32)
        values = cv2.remap(gray, line[None, :, 0], line[None, :, 1], cv2.INTER_LINEAR)[0].astype(float)
        slope = np.abs(np.convolve(values, np.repeat((1.0, -1.0), 6), 'same'))[6:-6]
        best = int(np.argmax(slope))
        if slope[best] > 250 and 2 < best < len(slope) - 3:
            weight = slope[best - 2 : best + 3]
            found.append(line[6 + best] + (weight @ np.arange(-2, 3)) / weight.sum() * 0.25 * across)
    return np.array(found)


def test_straight_edges_become_straight() -> None:
    """Long edges of a cloth with squares, found in the rectified pictures; in the raw ones they are bent."""
    straight, bent = [], []
    for path in CAMERAS:
        image, K, D, flat = camera(path)
        made = rectification(image, K, D, flat)
        picture = Rectifier(PreprocessSpec(color='bgr', scale=1.0, pad_value=0)).picture(image, made)
        gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        for ends in edges_on_the_mat(picture):
            edge = subpixel_edge(gray, ends)
            if len(edge) < 30:
                continue
            sagitta, off = bend(edge)
            if off < 0.7:  # the cloth itself is not wrinkled there
                raw = np.array([made.raw_pixels(point[:1], point[1:])[0, 0] for point in edge])
                straight.append(sagitta)
                bent.append(bend(raw)[0])
    assert len(straight) >= 15
    assert np.median(straight) < 0.5 * np.median(bent)
    assert np.percentile(straight, 90) < 0.5 * np.percentile(bent, 90)
