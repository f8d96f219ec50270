# SPDX-License-Identifier: Apache-2.0
"""The pose node takes the pixels of an object from its mask, and its box where no mask can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from support.ros.pose_bench import PoseBench, pose_of
from support.ros.pose_views import SMALL_WH, Item, View, view_of

WIDTH, HEIGHT = SMALL_WH
OBJECT, OTHER, WALL = 1.0, 0.6, 2.0  # m
BOX = (120, 80, 200, 160)  # px


def scene() -> tuple[View, np.ndarray]:
    """Before a wall an object, of which another thing leaves two edges; and the object's mask, number 1."""
    depth = np.full((HEIGHT, WIDTH), WALL, np.float32)
    instances = np.zeros((HEIGHT, WIDTH), np.uint16)
    left, top, right, bottom = BOX
    depth[top:bottom, left:right], instances[top:bottom, left:right] = OBJECT, 1
    depth[top : bottom - 10, left + 10 : right], instances[top : bottom - 10, left + 10 : right] = OTHER, 0
    base = view_of()
    item = replace(base.items[0], box=np.array(BOX, np.float64), identity='1')
    color = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    color[instances == 1] = (10, 200, 30)
    return replace(base, depth=depth, color=color, items=(item,)), instances


VIEW, INSTANCES = scene()


@pytest.fixture(scope='module')
def around(make_graph: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture(scope='module')
def bench(around: Any) -> Iterator[PoseBench]:
    made = PoseBench(around, method='depth', use_masks='true', publish_tf=False)
    yield made
    made.close()


def distance(bench: PoseBench, header: Header) -> float:
    """m along the optical axis, of the one object of a frame."""
    (found,) = bench.answer(header).detections
    return float(pose_of(found).translation[2])


def send(bench: PoseBench, instances: np.ndarray | None, items: tuple[Item, ...] | None = None) -> Header:
    header = bench.stamp()
    if instances is not None:
        bench.put_masks(header, instances)
    bench.send(VIEW, header=header, items=items, depth='32FC1')
    return header


def test_an_object_behind_another_is_where_its_mask_is(bench: PoseBench) -> None:
    assert abs(distance(bench, send(bench, INSTANCES)) - OBJECT) < 0.01


def test_without_a_mask_it_is_what_the_middle_of_its_box_shows(bench: PoseBench) -> None:
    header = send(bench, None)
    bench.let_wait_end(header)
    assert abs(distance(bench, header) - OTHER) < 0.01
    bench.wait_counted('skipped', 'unpaired_masks')


def test_masks_that_come_within_the_wait_are_used(bench: PoseBench) -> None:
    header = send(bench, None)
    bench.put_masks(header, INSTANCES)
    assert abs(distance(bench, header) - OBJECT) < 0.01


def test_each_detection_takes_its_own_number(bench: PoseBench) -> None:
    """The first cannot be used; that must not shift the masks of the others."""
    header = bench.stamp()
    numbers = INSTANCES * 3
    bad = replace(VIEW.items[0], box=np.array([50, 50, 50, 60.0]))
    far = replace(VIEW.items[0], box=np.array([20, 20, 60, 60.0]), identity='2')
    numbers[20:60, 20:60] = 2
    bench.put_masks(header, numbers)
    bench.send(VIEW, header=header, items=(bad, far, VIEW.items[0]), depth='32FC1')
    found = [pose_of(item).translation[2] for item in bench.answer(header).detections]
    np.testing.assert_allclose(found, [WALL, OBJECT], atol=0.01)


@pytest.mark.parametrize(
    ('instances', 'reason'),
    [
        (INSTANCES[::2, ::2], 'mask_size'),
        (INSTANCES * 2, 'mask_count'),
    ],
)
def test_masks_of_another_image_or_of_other_detections_are_named_and_not_used(
    bench: PoseBench, instances: np.ndarray, reason: str
) -> None:
    header = send(bench, np.ascontiguousarray(instances))
    assert abs(distance(bench, header) - OTHER) < 0.01
    bench.wait_counted('skipped', reason)


def test_an_object_of_which_no_pixel_is_seen_falls_back_to_its_box_and_is_noted(bench: PoseBench) -> None:
    header = send(bench, np.zeros_like(INSTANCES))
    assert abs(distance(bench, header) - OTHER) < 0.01
    bench.wait_counted('noted', 'mask_empty')


def test_the_cloud_has_the_points_under_the_mask(bench: PoseBench) -> None:
    clouds = bench.probe.listen(f'{bench.name}/objects_cloud', PointCloud2)
    bench.wait_until(lambda: bench.node._cloud.wanted)
    header = bench.stamp()
    bench.put_image(header, VIEW.color)
    bench.put_masks(header, INSTANCES)
    bench.send(VIEW, header=header, depth='32FC1')
    bench.answer(header)
    bench.wait_until(lambda: any(cloud.header == header for cloud in list(clouds)), 'the cloud of the frame')
    cloud = next(cloud for cloud in clouds if cloud.header == header)
    rows = np.frombuffer(bytes(cloud.data), np.dtype([('xyz', '<f4', 3), ('_', 'u1', cloud.point_step - 12)]))
    assert len(rows) == np.count_nonzero(INSTANCES)
    np.testing.assert_allclose(rows['xyz'][:, 2], OBJECT)
    bench.probe.ignore(f'{bench.name}/objects_cloud')


def test_a_node_whose_card_has_no_masks_waits_for_none(around: Any) -> None:
    bench = PoseBench(around, method='depth', publish_tf=False)
    try:
        header = send(bench, None)  # nobody ends its wait
        assert abs(distance(bench, header) - OTHER) < 0.01
    finally:
        bench.close()


def test_a_card_with_masks_makes_the_node_take_them(around: Any, mask_card: Any) -> None:
    bench = PoseBench(around, method='depth', model=str(mask_card.path), publish_tf=False)
    try:
        assert bench.node._has_masks
        off = PoseBench(around, method='depth', model=str(mask_card.path), use_masks='false', publish_tf=False)
        assert not off.node._has_masks
        off.close()
    finally:
        bench.close()
