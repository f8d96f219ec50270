# SPDX-License-Identifier: Apache-2.0
"""PoseNode and TrackNode with a card of objects and no model: for detectors of any origin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
import yaml
from support.ros.pose_bench import PoseBench, assert_near, covariance_of
from support.ros.pose_views import sim_object, view_of

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.poses import pose_from_message
from isaac_inference.ros.messages.tensors import TensorFrame, to_tensor_list
from isaac_inference.sim import LABELS


def write(folder: Path, **said: Any) -> str:
    path = folder / 'objects.yaml'
    path.write_text(yaml.safe_dump({'objects': {name: sim_object(name) for name in LABELS}, **said}))
    return str(path)


@pytest.fixture(scope='module')
def by_depth(around: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoseBench]:
    bench = PoseBench(around, model_card=write(tmp_path_factory.mktemp('depth')), wait_s=10.0)
    yield bench
    bench.close()


@pytest.fixture(scope='module')
def by_keypoints(around: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoseBench]:
    card = write(tmp_path_factory.mktemp('keypoints'), keypoints={'model': 'cuboid8'})
    bench = PoseBench(around, model_card=card, wait_s=10.0)
    yield bench
    bench.close()


def test_a_foreign_detector_gets_positions_and_the_sizes_of_the_card(by_depth: PoseBench) -> None:
    view = view_of()
    assert (by_depth.node._estimator.uses_keypoints, by_depth.node._estimator.uses_depth) == (False, True)
    array = by_depth.answer(by_depth.send(view, depth='16UC1'))
    assert len(array.detections) >= len(view.items) - 1
    items = {item.identity: item for item in view.items}
    sized = 0
    for found in array.detections:
        truth = items[found.id]
        assert_near(found, truth.pose, m=0.5 * max(truth.size))
        size = (found.bbox.size.x, found.bbox.size.y, found.bbox.size.z)
        sized += np.allclose(size, truth.size)
    assert sized >= len(array.detections) / 2


def test_a_class_that_the_card_does_not_know_has_the_box_of_what_is_seen(by_depth: PoseBench) -> None:
    view = view_of().only('cereal_box')
    header = by_depth.stamp()
    by_depth.put_camera(view.camera, header)
    by_depth.put_depth(header, view.depth)
    box = np.float32([view.items[0].box])
    found = Detections(box, np.float32([0.5]), np.zeros(1, np.int32))
    by_depth.put('detections', detection_array(header, found, ['parcel']))
    (item,) = by_depth.answer(header).detections
    assert item.results[0].hypothesis.class_id == 'parcel'


def test_keypoints_of_a_foreign_detector_give_poses(by_keypoints: PoseBench) -> None:
    view = view_of()
    array = by_keypoints.ask(view)
    for found, item in zip(array.detections, view.items, strict=True):
        assert found.results[0].hypothesis.class_id == item.label
        assert_near(found, item.pose, m=0.002, deg=2.0)


def test_keypoints_under_another_name_are_said_to_be_that(by_keypoints: PoseBench) -> None:
    view = view_of()
    header = by_keypoints.stamp()
    by_keypoints.put_camera(view.camera, header)
    rows = np.array([item.keypoints for item in view.items], np.float32)
    by_keypoints.put('keypoints', to_tensor_list(TensorFrame(header, {'kpts': rows})))
    by_keypoints.put_detections(header, view.items)
    by_keypoints.wait_counted('dropped', 'bad_tensor')
    header = by_keypoints.stamp()
    by_keypoints.put('keypoints', to_tensor_list(TensorFrame(header, {'keypoints': rows[..., :2].copy()})))
    by_keypoints.put_detections(header, view.items)
    by_keypoints.wait_counted('dropped', 'bad_tensor', 2)
    assert by_keypoints.ask(view).detections


@pytest.mark.parametrize(
    'said, parameters, expected',
    [
        ({}, {'method': 'keypoints'}, 'the card of objects has no keypoints; add `keypoints: {count: '),
        ({'objects': {}}, {}, 'card objects.yaml: no objects'),
        ({'objects': {'cup': {'mesh': 'cup.ply'}}, 'keypoints': {'model': 'cuboid8'}}, {'method': 'keypoints'},
         'has keypoints that are the corners of a cuboid, but no size for cup; a mesh does not say'),
        ({'keypoints': {'count': 5}}, {'method': 'keypoints'}, 'has 5 keypoints, but does not say where they are on'),
    ],
)  # fmt: skip
def test_configure_says_what_is_missing(
    around: Any, tmp_path: Path, said: dict[str, Any], parameters: dict[str, Any], expected: str
) -> None:
    trimesh.creation.box((0.1, 0.1, 0.1)).export(tmp_path / 'cup.ply')
    bench = PoseBench(around, active=False, model_card=write(tmp_path, **said), **parameters)
    bench.wait_until(lambda: 'configure failed' in bench.probe.status(bench.name).message)
    assert expected in bench.probe.status(bench.name).message
    bench.close()


def test_the_pose_is_of_the_file_s_origin_and_the_box_stays_where_it_is(around: Any, tmp_path: Path) -> None:
    offset = np.array((0.05, 0.02, 0.12))
    mesh = trimesh.creation.box(sim_object('cereal_box')['size'])
    mesh.apply_translation(offset)
    mesh.export(tmp_path / 'cereal.ply')
    spec = {'size': sim_object('cereal_box')['size'], 'mesh': 'cereal.ply', 'mesh_origin': 'file'}
    card = write(tmp_path, objects={'cereal_box': spec}, keypoints={'model': 'cuboid8'})
    bench = PoseBench(around, model_card=card, wait_s=10.0)
    view = view_of().only('cereal_box')
    (found,) = bench.ask(view).detections
    truth = view.items[0].pose
    assert_near(found, Pose(truth.rotation, truth.apply(-offset[None])[0]), m=0.002, deg=1.0)
    box = pose_from_message(found.bbox.center)
    np.testing.assert_allclose(box.translation, truth.translation, atol=0.002)
    np.testing.assert_allclose((found.bbox.size.x, found.bbox.size.y, found.bbox.size.z), spec['size'])
    assert np.linalg.eigvalsh(covariance_of(found)).min() > 0.0
    bench.close()
