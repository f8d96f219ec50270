# SPDX-License-Identifier: Apache-2.0
"""The second pose of a flat object over DDS: PoseNode tells it, TrackNode waits until one of the two is sure."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from support.ros.node_graph import PATIENT
from support.ros.pose_bench import SCORE, PoseBench, assert_near, covariance_of
from support.ros.pose_views import Card, Item, View, view_of
from vision_msgs.msg import Detection3D, Detection3DArray

from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ros.messages.poses import detection_3d, pose_from_message, read_object, second_pose
from isaac_inference.sim import default_camera

LABEL, SIZE = 'toy_block', (0.1, 0.1, 0.0005)
STEP_NS = 33_333_333
CAMERA = default_camera(320, 240)


def plate(degrees: float, distance: float) -> Pose:
    """A thin plate, turned off facing the camera."""
    return Pose(so3_exp((math.radians(degrees), 0, 0)) @ so3_exp((math.pi, 0, 0)), np.array((0.05, 0.02, distance)))


def shown(*poses: Pose) -> View:
    """Plates as a camera sees them."""
    items = []
    for number, pose in enumerate(poses, 1):
        pixels = CAMERA.project(pose.apply(cuboid_corners(SIZE))) + 0.5
        keypoints = np.column_stack((pixels, np.ones(8))).astype(np.float32)
        box = np.concatenate((pixels.min(axis=0), pixels.max(axis=0))).astype(np.float32)
        items.append(Item(LABEL, pose, box, keypoints, str(number)))
    view = view_of()
    return View(CAMERA, view.color, view.depth, view.T_world_camera, tuple(items))


FAR, NEAR = plate(25.0, 1.0), plate(50.0, 0.4)


@pytest.fixture(scope='module')
def bench(around: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoseBench]:
    model = Card(objects={LABEL: {'size': list(SIZE)}}).write(tmp_path_factory.mktemp('plate'))
    with contextlib.closing(PoseBench(around, model=str(model), method='keypoints')) as bench:
        yield bench


def turned_deg(item: Detection3D, truth: Pose, result: int = 0) -> float:
    found = pose_from_message(item.results[result].pose.pose)
    return math.degrees(rotation_angle(found.rotation @ truth.rotation.T))


def test_a_flat_object_has_two_results_and_the_better_one_is_the_first(bench: PoseBench) -> None:
    far, near = bench.ask(shown(FAR, NEAR)).detections
    assert len(near.results) == 1, 'near, and from the side, perspective tells'
    first, second = far.results
    assert first.hypothesis.class_id == second.hypothesis.class_id == LABEL
    assert first.hypothesis.score == pytest.approx(SCORE)
    assert 0.02 * SCORE < second.hypothesis.score < SCORE
    assert_near(far, FAR, m=1e-3, deg=1.0)
    assert turned_deg(far, FAR, 1) > 30.0
    found = second_pose(read_object(far))
    assert found is not None
    assert found.probability == pytest.approx(second.hypothesis.score / (second.hypothesis.score + SCORE))
    spread = math.sqrt(np.trace(covariance_of(far)[3:, 3:]))
    assert spread > 0.9 * math.sqrt(found.probability) * math.radians(turned_deg(far, FAR, 1))


def test_a_track_waits_until_one_is_sure(bench: PoseBench, around: Any) -> None:
    folder = bench.name.rsplit('/', 1)[0]
    component = around.container.load(
        'isaac_inference',
        'TrackNode',
        node_name='track',
        namespace=f'{around.namespace}/{folder}',
        remappings=['detections_3d:=pose/detections_3d'],
        parameters=[Parameter(key, value=value) for key, value in {**PATIENT, 'boxes': False}.items()],
    )
    try:
        smooth = bench.probe.listen(f'{folder}/track/detections_3d', Detection3DArray)
        bench.probe.wait_active(f'{folder}/track')
        bench.probe.wait_matched()
        published = []
        for _ in range(20):
            header = bench.send(shown(FAR), header=bench.stamp(STEP_NS))
            bench.answer(header)
            bench.wait_until(
                lambda stamp=header.stamp: any(array.header.stamp == stamp for array in list(smooth)), 'track answers'
            )
            answer = next(array for array in list(smooth) if array.header.stamp == header.stamp)
            published.append(len(answer.detections))
            for item in answer.detections:
                assert_near(item, FAR, m=1e-3, deg=1.0)
                assert len(item.results) == 1
        waited = published.index(1)
        assert 0 < waited < 15
        assert published == [0] * waited + [1] * (20 - waited)
        bench.wait_until(
            lambda: bench.probe.value(f'{folder}/track', 'skipped.ambiguous_pose') == str(waited), 'they are counted'
        )
    finally:
        around.container.unload(component.unique_id)
        bench.probe.ignore(f'{folder}/track/detections_3d')


def test_results_of_another_kind_are_no_second_pose() -> None:
    item = detection_3d(Header(), 'can', 0.8, FAR, SIZE, covariance=np.eye(6))
    assert second_pose(read_object(item)) is None
    other = detection_3d(Header(), 'cup', 0.3, FAR, SIZE, covariance=np.eye(6)).results[0]
    without = detection_3d(Header(), 'can', 0.3, FAR, SIZE).results[0]
    for result in (other, without):
        item.results = [item.results[0], result]
        assert second_pose(read_object(item)) is None
