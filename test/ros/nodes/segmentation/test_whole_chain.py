# SPDX-License-Identifier: Apache-2.0
"""From a camera's picture to what a planner reads, through all nodes of one container."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from support.onnx_models.color_classes import colored
from support.ros.probe import LATCHED, RELIABLE, image_message, value_of
from support.scenes.flat_ground import BOX, CAMERA, ROAD, Box, flat_ground, mounted
from tf2_msgs.msg import TFMessage

from isaac_inference.models import ModelCard
from isaac_inference.ros.messages.camera_info import camera_info

DARK, RED, GREEN = 0, 1, 2
CRATE = Box(near=2.0, far=2.6, left=0.5, right=-0.5, height=0.6)


def test_a_picture_becomes_a_grid(empty_graph: Any, color_model: ModelCard) -> None:
    graph, probe, model = empty_graph, empty_graph.probe, str(color_model.path)
    for name in ('preprocess', 'inference', 'segmentation'):
        graph.load(f'{name.capitalize()}Node', name, model=model)
    ground = graph.load(
        'GroundNode',
        'ground',
        ground_classes=['green'],
        obstacle_classes=['red'],
        base_frame='chain_base',
        image_qos__reliability='reliable',
        transform_wait_s=10.0,
        grid_resolution=0.1,
        grid_size=[4.0, 2.0],
        grid_origin=[0.0, -1.0],
        stride=2,
    )
    probe.wait_active('preprocess', 'inference', 'segmentation', 'ground')
    probe.wait_until(lambda: ground._kinds, 'names went from node to node inside the container')
    infos = probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
    frames = probe.node.create_publisher(TFMessage, '/tf_static', LATCHED)
    grids = probe.listen('ground/grid', OccupancyGrid, qos=LATCHED)
    mount, lens = mounted(), TransformStamped(header=Header(frame_id='chain_base'), child_frame_id='chain_lens')
    lens.transform.translation.z = float(mount.translation[2])
    turn = lens.transform.rotation
    turn.x, turn.y, turn.z, turn.w = mount.quaternion()
    frames.publish(TFMessage(transforms=[lens]))
    probe.send(camera_info(Header(frame_id='chain_lens'), CAMERA), infos)
    probe.wait_until(lambda: ground._camera.camera)
    probe.wait_until(lambda: ground._grids.wanted)
    mask = flat_ground(mount, CRATE).mask
    picture = image_message(colored(np.select([mask == ROAD, mask == BOX], [GREEN, RED], DARK)))
    picture.header = Header(stamp=Time(sec=1_700_000_000), frame_id='chain_lens')
    probe.send(picture)
    probe.wait_until(lambda: grids, 'a grid')
    assert (grids[0].header.frame_id, grids[0].header.stamp) == ('chain_base', picture.header.stamp)
    cells = np.array(grids[0].data, np.int8).reshape(20, 40)
    assert (cells[5:15, 11:18] == 0).all()  # the road up to the box; the network's pixels are some cm long there
    assert (cells[6:14, 17:22] == 100).any(axis=1).all()
    assert not (cells[:, :15] == 100).any()
    assert (cells[8:12, 28:36] == -1).all()  # behind it
    assert value_of(probe.status('inference'), 'probe') == 'outputs are finite and depend on the picture'
