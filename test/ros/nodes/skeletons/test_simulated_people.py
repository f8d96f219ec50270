# SPDX-License-Identifier: Apache-2.0
"""The simulated camera's people through the skeletons node: its joints of true keypoints against the true joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Empty
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES
from support.ros.probe import RELIABLE

from isaac_inference.ros.messages.people.joints import JointRows, read_joints

FRAMES = 6


def load(graph: Any, plugin: str, name: str, remappings: dict[str, str], **parameters: Any) -> None:
    graph.container.load(
        'isaac_inference',
        plugin,
        node_name=name,
        namespace=graph.namespace,
        remappings=[f'{topic}:={other}' for topic, other in remappings.items()],
        parameters=[Parameter(key, value=value) for key, value in {**PATIENT, **RELIABLE_IMAGES, **parameters}.items()],
    )
    graph.probe.wait_active(name)


def test_joints_of_true_keypoints_are_the_true_joints(empty_graph: Any, tmp_path: Path) -> None:
    card = tmp_path / 'people.yaml'
    card.write_text('keypoints: {skeleton: coco17}\n')
    probe = empty_graph.probe
    found = probe.listen('keypoints_3d', PointCloud2)
    true = probe.listen('truth/keypoints_3d', PointCloud2)
    steps = probe.node.create_publisher(Empty, 'step', RELIABLE)
    taken = {'detections': 'truth/detections', 'keypoints': 'truth/keypoints'}
    load(empty_graph, 'SimCameraNode', 'sim_camera', {}, scene='people', step=True, scene_frames=2, seed=2)
    load(empty_graph, 'SkeletonsNode', 'skeletons', taken, model_card=str(card), wait_s=10.0)
    for count in range(1, FRAMES + 1):
        probe.send(Empty(), steps)
        probe.wait_until(lambda count=count: len(found) == len(true) == count, 'the joints of a frame')
    off, visible, there = [], [], []
    for cloud, truth in zip(found, true, strict=True):
        assert cloud.header == truth.header
        ours, theirs = read_joints(cloud), read_joints(truth)
        assert list(ours.people) == list(theirs.people)
        off.append(_off(ours, theirs))
        visible.append(theirs.confidences.ravel() > 0)
        there.append(np.isfinite(ours.positions[..., 2]).ravel())
    errors, seen, given = (np.concatenate(parts) for parts in (off, visible, there))
    assert not (given & ~seen).any(), 'what is hidden has a confidence of 0'
    assert given[seen].mean() > 0.9
    assert np.nanmedian(errors) < 0.03
    assert np.nanpercentile(errors, 90) < 0.08


def _off(ours: JointRows, theirs: JointRows) -> np.ndarray:
    return np.asarray(np.linalg.norm(ours.positions - theirs.positions, axis=-1).ravel())
