# SPDX-License-Identifier: Apache-2.0
"""SkeletonsNode with a part of the sensor, and with joined pixels: joints are where the whole image has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import RegionOfInterest
from support.people.skeleton_bench import SkeletonBench, exact_rows, people

from isaac_inference.ros.messages.camera_info import calibration, camera_info
from isaac_inference.sim import default_camera


def roi(x: int, y: int, width: int, height: int) -> RegionOfInterest:
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)


@pytest.mark.parametrize(
    ('part', 'binning', 'fields'),
    [
        ((0, 0, 640, 480), (2, 2), {}),
        ((0, 0, 640, 480), (2, 2), {'roi': roi(0, 0, 640, 480)}),
        ((96, 64, 480, 400), (1, 1), {'roi': roi(96, 64, 480, 400)}),
        ((96, 64, 480, 400), (2, 2), {'roi': roi(96, 64, 480, 400)}),
        # as drivers have it that give the size of the part
        ((96, 64, 480, 400), (1, 1), {'roi': roi(96, 64, 480, 400), 'width': 480, 'height': 400}),
    ],
)
def test_joints_of_a_part_are_those_of_the_whole(
    bench: SkeletonBench, part: tuple[int, int, int, int], binning: tuple[int, int], fields: dict[str, Any]
) -> None:
    frame = people()
    whole = bench.ask(frame)
    x, y, width, height = part
    size = np.array((width // binning[0], height // binning[1]))
    header = bench.stamp()
    message = camera_info(header, default_camera())
    message.binning_x, message.binning_y = binning
    for name, value in fields.items():
        setattr(message, name, value)
    bench.put('camera_info', message)
    said = calibration(message)
    bench.probe.wait_until(lambda: bench.node._camera.calibration == said, 'the node knows the part')
    rows = exact_rows(frame)
    rows[..., :2] = (rows[..., :2] - (x, y)) / binning
    corners = np.array([truth.box for truth in frame.truths]).reshape(-1, 2, 2)
    boxes = np.clip((corners - (x, y)) / binning, 0.0, size).reshape(-1, 4)
    depth = frame.depth[y : y + height, x : x + width]
    bench.put_depth(header, np.ascontiguousarray(depth[binning[1] // 2 :: binning[1], binning[0] // 2 :: binning[0]]))
    bench.put_keypoints(header, rows, (int(size[0]), int(size[1])))
    bench.put_people(header, boxes)
    found = bench.answer(header)
    both = np.isfinite(found.positions[..., 2]) & np.isfinite(whole.positions[..., 2])
    assert both.sum() >= 8
    off = np.linalg.norm(found.positions - whole.positions, axis=2)[both]
    assert np.median(off) < 5e-3 and off.max() < 0.04
    truths = np.stack([truth.joints for truth in frame.truths])
    assert np.nanmedian(np.linalg.norm(found.positions - truths, axis=2)) < 0.03
