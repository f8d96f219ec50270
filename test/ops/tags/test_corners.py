# SPDX-License-Identifier: Apache-2.0
"""The corners of tags against drawn ones: no bias, whatever blurs the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.scenes.tag_boards import PrintedTag, draw, facing, grid

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.tags.corners import edge_corners
from isaac_inference.ops.tags.detector import TagDetector
from isaac_inference.ops.tags.families import FAMILIES

CAMERA = CameraModel(640, 480, np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]]))
TAGS = grid(6, 6, 0.03, 0.009)
FAMILY = FAMILIES['36h11']


def offsets(blur_px: float) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4, 2) px that the corners of many tags are off, and how far towards the outside of the tag (N, 4)."""
    rng = np.random.default_rng(2001)
    off, outward = [], []
    for seed in range(2001, 2007):
        pose = facing((*rng.uniform(-0.03, 0.03, 2), rng.uniform(0.35, 0.6)), rng.normal(0.0, 0.3, 3))
        found, _ = TagDetector([FAMILY])(draw(TAGS, pose, CAMERA, blur_px=blur_px, seed=seed))
        for tag in found:
            # the drawing is OpenCV's: the other way up than the family's makers have it
            truth = np.roll(CAMERA.project(pose.apply(TAGS[tag.id].corners)) + 0.5, 2, axis=0)
            ray = truth - truth.mean(axis=0)
            off.append(tag.corners - truth)
            outward.append(((tag.corners - truth) * ray / np.linalg.norm(ray, axis=1)[:, None]).sum(axis=1))
    return np.array(off), np.array(outward)


@pytest.mark.parametrize('blur_px, rms', [(0.0, 0.10), (0.6, 0.12), (1.0, 0.16)])
def test_corners_have_no_bias(blur_px: float, rms: float) -> None:
    off, outward = offsets(blur_px)
    assert len(off) > 150
    assert np.abs(off.mean(axis=(0, 1))).max() < 0.02  # to the right or down: half a pixel, if edges and middles mix
    assert abs(outward.mean()) < 0.05
    assert np.sqrt((off**2).sum(axis=2).mean()) < rms


def test_corners_of_opencv_are_off_by_more() -> None:
    """Why they are measured anew: its best are several times further off."""
    picture = draw(TAGS, facing((0.0, 0.0, 0.45), (0.2, 0.3, 0.1)), CAMERA)
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    corners, ids, _ = cv2.aruco.ArucoDetector(dictionary, parameters).detectMarkers(picture)
    pose = facing((0.0, 0.0, 0.45), (0.2, 0.3, 0.1))
    truth = np.array([CAMERA.project(pose.apply(TAGS[number].corners)) for number in ids.ravel()])
    theirs = np.array(corners)[:, 0]
    ours, good = edge_corners(picture, theirs, np.full(len(theirs), 8), 20.0)
    assert good.all()
    assert np.linalg.norm(theirs - truth, axis=2).mean() > 4.0 * np.linalg.norm(ours - truth, axis=2).mean()


def test_the_first_guess_does_not_matter() -> None:
    pose = facing((0.01, -0.02, 0.4), (0.3, 0.1, 0.0))
    picture = draw(TAGS[:6], pose, CAMERA)
    truth = np.array([CAMERA.project(pose.apply(tag.corners)) for tag in TAGS[:6]])
    rng = np.random.default_rng(2010)
    cells = np.full(6, 8)
    found = [edge_corners(picture, truth + rng.uniform(-1.0, 1.0, truth.shape), cells, 20.0) for _ in range(5)]
    for corners, good in found:
        assert good.all()
        np.testing.assert_allclose(corners, found[0][0], atol=0.05)


def test_an_edge_without_paper_or_contrast_is_not_measured() -> None:
    pose = facing((0.0, 0.0, 0.3))
    picture = draw(TAGS[14:15], pose, CAMERA)
    rough = CAMERA.project(pose.apply(TAGS[14].corners))[None]
    _, good = edge_corners(picture, rough, np.array([8]), 20.0)
    assert good.all()
    left = int(rough[0, :, 0].min())
    covered = picture.copy()
    covered[:, : left + 1] = 20  # as dark as the border
    corners, good = edge_corners(covered, rough, np.array([8]), 20.0)
    assert not good.any()
    np.testing.assert_array_equal(corners, rough)
    faint = (picture * 0.08).astype(np.uint8)
    assert not edge_corners(faint, rough, np.array([8]), 20.0)[1].any()


def test_nothing_gives_nothing() -> None:
    corners, good = edge_corners(np.zeros((8, 8), np.uint8), np.zeros((0, 4, 2)), np.zeros(0), 20.0)
    assert corners.shape == (0, 4, 2)
    assert good.shape == (0,)


def seen_through_a_wide_lens(tag: PrintedTag, pose: Pose, camera: CameraModel) -> np.ndarray:
    """The picture of a distorting camera."""
    K = camera.K.copy()
    K[:2, 2] *= 3.0
    straight = CameraModel(3 * camera.width, 3 * camera.height, K)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.undistort(np.stack((u.ravel(), v.ravel()), axis=1).astype(np.float64))
    places = (rays * camera.K[0, 0] + K[:2, 2]).reshape(camera.height, camera.width, 2).astype(np.float32)
    picture = draw([tag], pose, straight, blur_px=0.0, noise=0.0)
    return cv2.GaussianBlur(cv2.remap(picture, places[..., 0], places[..., 1], cv2.INTER_LINEAR), (0, 0), 0.6)


@pytest.mark.parametrize('position', [(0.35, 0.15, 0.5), (0.12, 0.05, 0.3), (0.6, 0.2, 0.8)])
def test_the_bent_edges_of_a_wide_lens_lead_to_the_corners(position: tuple[float, float, float]) -> None:
    camera = CameraModel(
        640,
        480,
        np.array([[400.0, 0.0, 319.5], [0.0, 400.0, 239.5], [0.0, 0.0, 1.0]]),
        (-0.28, 0.07, 0, 0, 0),
        'plumb_bob',
    )
    tag = PrintedTag('DICT_APRILTAG_36h11', 1, 0.2, Pose.identity())
    (found,), _ = TagDetector([FAMILY])(seen_through_a_wide_lens(tag, facing(position), camera))
    truth = np.roll(camera.project(facing(position).apply(tag.corners)) + 0.5, 2, axis=0)
    assert np.linalg.norm(found.corners - truth, axis=1).max() < 0.5  # straight lines miss by 1.8 px
