# SPDX-License-Identifier: Apache-2.0
"""From seen tags to objects, and on to poses, without ROS."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.scenes.tag_boards import PrintedTag, draw, facing, grid

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import ObjectsCard, read_objects
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ops.pose.pnp import PnpSettings
from isaac_inference.stages.poses import Observed, PoseEstimator, PoseSettings
from isaac_inference.stages.tags.finder import TagFinder, TaggedObjects

CAMERA = CameraModel(1280, 960, np.array([[1100.0, 0.0, 639.5], [0.0, 1100.0, 479.5], [0.0, 0.0, 1.0]]))
CARD = """
objects:
  board: {tag_grid: {family: 36h11, columns: 6, rows: 6, size: 0.03, gap: 0.009, print: opencv}}
  small: {tag_grid: {family: 36h11, columns: 2, rows: 1, size: 0.03, gap: 0.009, first_id: 50, print: opencv}}
  tool: {tags: [{family: 36h11, id: 100, size: 0.04, print: opencv}]}
"""
BOARD, SMALL = grid(6, 6, 0.03, 0.009), grid(2, 1, 0.03, 0.009, first=50)
TOOL = [PrintedTag('DICT_APRILTAG_36h11', 100, 0.04, Pose.identity())]


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ObjectsCard:
    path = tmp_path_factory.mktemp('card') / 'cell.yaml'
    path.write_text(CARD)
    found = read_objects('', path)
    assert isinstance(found, ObjectsCard)
    return found


@pytest.fixture(scope='module')
def finder(card: ObjectsCard) -> TagFinder:
    return TagFinder(card)


def scene(*parts: tuple[list[PrintedTag], Pose], seed: int = 3000) -> np.ndarray:
    """Several boards in one picture."""
    picture = None
    for tags, pose in parts:
        picture = draw(tags, pose, CAMERA, seed=seed, background=picture, noise=0.0 if picture is None else 2.0)
    assert picture is not None
    return picture


def names(card: ObjectsCard, seen: TaggedObjects) -> list[str]:
    return [card.labels[index] for index in seen.found.class_ids]


def test_each_object_is_one_row_with_its_corners_first(card: ObjectsCard, finder: TagFinder) -> None:
    poses = {'board': facing((-0.12, 0.0, 0.6), (0.2, 0.1, 0.0)), 'tool': facing((0.2, 0.1, 0.6))}
    seen = finder(scene((BOARD, poses['board']), (TOOL, poses['tool'])))
    assert names(card, seen) == ['board', 'tool']
    assert seen.found.keypoints is not None and seen.found.keypoints.shape == (2, 144, 3)
    assert (seen.found.scores == 1.0).all()
    for row, (name, pose) in enumerate(poses.items()):
        points = np.array(card.objects[name].keypoints)
        truth = CAMERA.project(pose.apply(points)) + 0.5
        keypoints = seen.found.keypoints[row]
        np.testing.assert_allclose(keypoints[: len(points), :2], truth, atol=0.25)
        assert (keypoints[: len(points), 2] == 1.0).all()
        assert not keypoints[len(points) :].any()
        np.testing.assert_allclose(seen.found.boxes[row], [*truth.min(axis=0), *truth.max(axis=0)], atol=0.3)


def test_tags_that_are_not_seen_have_no_confidence(finder: TagFinder) -> None:
    seen = finder(draw(BOARD, facing((0.3, 0.0, 0.6)), CAMERA))
    assert seen.found.keypoints is not None
    confidence = seen.found.keypoints[0, :, 2].reshape(36, 4)
    assert set(confidence.min(axis=1)) == {0.0, 1.0}
    assert (confidence.min(axis=1) == confidence.max(axis=1)).all()
    (x0, y0, x1, y1), *others = seen.found.boxes
    assert not others
    assert 0 <= x0 < x1 <= CAMERA.width and 0 <= y0 < y1 <= CAMERA.height


def test_two_objects_with_one_tag_each_are_two_of_a_class(card: ObjectsCard, finder: TagFinder) -> None:
    seen = finder(scene((TOOL, facing((-0.1, 0.0, 0.5))), (TOOL, facing((0.1, 0.0, 0.5)))))
    assert names(card, seen) == ['tool', 'tool']
    assert seen.left_out == {}


def test_two_boards_of_the_same_ids_are_never_mixed(card: ObjectsCard, finder: TagFinder) -> None:
    left, right = facing((-0.2, 0.0, 0.7)), facing((0.15, 0.0, 0.7), (0.1, 0.3, 0.0))
    seen = finder(scene((BOARD, left), (BOARD, right)))
    assert len(seen.found) == 0
    assert seen.left_out['tag_twice'] > 60
    # of one of them only ten tags are seen: the other one's others tell where that is, and are not led astray
    seen = finder(scene((BOARD, left), (BOARD[:10], right)))
    assert names(card, seen) == ['board']
    assert seen.left_out == {'tag_twice': 20}
    assert np.linalg.norm(pose_of(card, seen, 0).translation - left.translation) < 0.001
    # halves of two boards have no pose in common
    seen = finder(scene((BOARD[:18], left), (BOARD[18:], right)))
    assert seen.left_out == {}
    with pytest.raises(FrameError) as caught:
        pose_of(card, seen, 0)
    assert caught.value.reason in ('too_few_inliers', 'reprojection')


def test_a_board_of_the_other_print_is_refused(card: ObjectsCard, tmp_path: Path) -> None:
    """Its tags are upside down, each in its place: no pose has them all."""
    path = tmp_path / 'cell.yaml'
    path.write_text(CARD.replace(', print: opencv', ''))
    other = read_objects('', path)
    assert isinstance(other, ObjectsCard)
    seen = TagFinder(other)(draw(BOARD, facing((0.0, 0.0, 0.5), (0.1, 0.2, 0.0)), CAMERA))
    with pytest.raises(FrameError) as caught:
        pose_of(other, seen, 0)
    assert caught.value.reason == 'too_few_inliers'


def test_tags_of_nobody_are_told(card: ObjectsCard, finder: TagFinder) -> None:
    seen = finder(scene((grid(2, 1, 0.04, 0.01, first=300), facing((0.0, 0.0, 0.4)))))
    assert len(seen.found) == 0
    assert seen.unknown == (('36h11', 300), ('36h11', 301))


def test_a_picture_of_nothing(finder: TagFinder) -> None:
    seen = finder(np.full((120, 160), 90, np.uint8))
    assert (len(seen.found), seen.left_out, seen.unknown) == (0, {}, ())
    assert seen.found.keypoints is not None and seen.found.keypoints.shape == (0, 144, 3)


def test_a_card_without_tags_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'cell.yaml'
    path.write_text('objects: {cup: {size: [0.1, 0.1, 0.1]}}')
    card = read_objects('', path)
    assert isinstance(card, ObjectsCard)
    with pytest.raises(ConfigError, match=r'card cell: got no object with tags.*add `tags: \[\{family'):
        TagFinder(card)


def test_a_board_of_36_tags_against_pnp_and_the_truth(card: ObjectsCard, finder: TagFinder) -> None:
    rng = np.random.default_rng(3100)
    for seed in range(3100, 3110):
        position = (*rng.uniform(-0.06, 0.06, 2), rng.uniform(0.4, 0.9))
        truth = facing(position, rng.normal(0.0, 0.35, 3))
        seen = finder(draw(BOARD, truth, CAMERA, blur_px=rng.uniform(0.3, 1.0), seed=seed))
        assert names(card, seen) == ['board']
        found, direct = pose_of(card, seen, 0), direct_pose(card, seen, 0)
        assert np.linalg.norm(found.translation - direct.translation) < 0.0005
        assert np.linalg.norm(found.translation - truth.translation) < 0.001
        assert np.degrees(rotation_angle(found.rotation @ truth.rotation.T)) < 0.2


def test_a_tag_alone_on_a_tool(card: ObjectsCard, finder: TagFinder) -> None:
    truth = facing((0.05, -0.03, 0.4), (0.4, 0.3, 0.5))
    seen = finder(draw(TOOL, truth, CAMERA, seed=3200))
    found = pose_of(card, seen, 0)
    assert np.linalg.norm(found.translation - truth.translation) < 0.002
    assert np.degrees(rotation_angle(found.rotation @ truth.rotation.T)) < 1.0


def test_corners_of_tags_are_surer_than_a_networks_keypoints(card: ObjectsCard, finder: TagFinder) -> None:
    found = finder(draw(TOOL, facing((0.05, -0.03, 0.4), (0.4, 0.3, 0.5)), CAMERA, seed=3200)).found
    assert found.keypoints is not None
    tool = Observed('tool', 1.0, found.boxes[0], found.keypoints[0])

    def position_std(tag_noise: float) -> float:
        settings = PoseSettings(pnp=PnpSettings(tag_noise=tag_noise))
        return float(np.sqrt(PoseEstimator(card, settings=settings).estimate(tool, CAMERA).covariance[2, 2]))

    assert position_std(1.0) > 2.0 * position_std(0.3)


def pose_of(card: ObjectsCard, seen: TaggedObjects, row: int) -> Pose:
    found = seen.found
    assert found.keypoints is not None
    label = card.labels[found.class_ids[row]]
    return PoseEstimator(card).estimate(Observed(label, 1.0, found.boxes[row], found.keypoints[row]), CAMERA).pose


def direct_pose(card: ObjectsCard, seen: TaggedObjects, row: int) -> Pose:
    """OpenCV's, on all corners."""
    found = seen.found
    assert found.keypoints is not None
    points = np.array(card.objects[card.labels[found.class_ids[row]]].keypoints)
    keypoints = found.keypoints[row, : len(points)].astype(np.float64)
    used = keypoints[:, 2] > 0
    _, turn, position = cv2.solvePnP(points[used], keypoints[used, :2] - 0.5, CAMERA.K, None)
    return Pose(so3_exp(turn.ravel()), position.ravel())
