# SPDX-License-Identifier: Apache-2.0
"""PoseNode and meshes that are none: configure says so, and works once they are corrected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trimesh
from rclpy.lifecycle import TransitionCallbackReturn
from support.ros.pose_bench import PoseBench, assert_near
from support.ros.pose_views import Card, view_of

BOX = trimesh.creation.box((0.16, 0.06, 0.24))


def _write_millimetres(path: Path) -> None:
    BOX.copy().apply_scale(1000.0).export(path)


@pytest.mark.parametrize(
    'spoil, said',
    [
        (lambda path: path.write_bytes(b''), 'the file is empty'),
        (lambda path: path.write_text('ply\nnonsense'), 'cannot read'),
        (lambda path: trimesh.PointCloud(BOX.vertices).export(path), '0 faces'),
        (_write_millimetres, 'set mesh_unit: mm'),
    ],
)
def test_a_mesh_that_is_none_stops_at_configure_until_it_is_corrected(
    empty_graph: Any, tmp_path: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    mesh = tmp_path / 'cereal.ply'
    spoil(mesh)
    card = Card(objects={'cereal_box': {'size': [0.16, 0.06, 0.24], 'mesh': 'cereal.ply'}})
    bench = PoseBench(empty_graph, active=False, model=str(card.write(tmp_path)), method='registration')
    bench.wait_until(lambda: 'configure failed' in bench.probe.status(bench.name).message)
    message = bench.probe.status(bench.name).message
    assert said in message
    assert 'cereal.ply' in message
    BOX.export(mesh)
    assert bench.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert bench.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    view = view_of().only('cereal_box')
    (found,) = bench.ask(view, depth='32FC1').detections
    assert_near(found, view.items[0].pose, m=0.003, deg=1.0)
