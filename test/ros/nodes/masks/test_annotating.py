# SPDX-License-Identifier: Apache-2.0
"""The annotate node fills the masks of its detections; masks that are not theirs cost the masks, not the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from support.detections import detections
from support.ros.probe import RELIABLE, image_message
from vision_msgs.msg import Detection2DArray

from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.image import to_image_message
from isaac_inference.ros.messages.masks import instance_frame
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

BLACK = np.zeros((240, 320, 3), np.uint8)
FOUND = detections(([20, 100, 120, 200], 0.9, 0), ([150, 100, 250, 200], 0.8, 1))
INSTANCES = np.zeros((240, 320), np.uint16)
INSTANCES[110:190, 30:110], INSTANCES[120:180, 170:230] = 1, 2


class Easel:
    """An annotate node that draws masks, and its pictures. For its pairing time stands still."""

    def __init__(self, graph: Any) -> None:
        self.probe = graph.probe
        self.node = graph.load('AnnotateNode', 'annotate', draw_rate=False, draw_masks=True)
        self.probe.wait_active('annotate')
        self.now_s = 0.0
        self.node._pairing._now = lambda: self.now_s
        self.boxes = self.probe.node.create_publisher(Detection2DArray, 'detections', RELIABLE)
        self.masks = self.probe.node.create_publisher(Image, 'instance_mask', RELIABLE)
        self.pictures = self.probe.listen('annotate/debug_image', Image)
        self.probe.wait_until(lambda: self.node._pictures.wanted)
        self.probe.wait_matched()

    def has(self, stream: str, header: Header) -> None:
        held = self.node._pairing._streams[stream].stamps
        self.probe.wait_until(lambda: stamp_ns(header) in list(held), f'the node has the {stream}')

    def ask(self, instances: np.ndarray | None) -> np.ndarray:
        """The picture of a frame, (H, W, 3) BGR."""
        image = image_message(BLACK)
        header = image.header
        self.probe.send(image)
        self.has('image', header)
        if instances is not None:
            self.probe.send(to_image_message(instance_frame(header, instances)), self.masks)
            self.has('masks', header)
        self.probe.send(detection_array(header, FOUND, ['cup', 'can']), self.boxes)
        if instances is None:
            self.probe.wait_until(lambda: self.node._pairing._pending, 'the picture waits for its masks')
            self.now_s += self.node.parameters.wait_s + 0.001
        self.probe.wait_until(lambda: any(one.header == header for one in list(self.pictures)), 'the picture')
        picture = next(one for one in self.pictures if one.header == header)
        return np.frombuffer(bytes(picture.data), np.uint8).reshape(picture.height, picture.width, 3)

    def skipped(self, reason: str) -> int:
        return self.node.health.snapshot().skips.get(reason, 0)


@pytest.fixture(scope='module')
def easel(make_graph: Callable[..., AbstractContextManager[Any]]) -> Iterator[Easel]:
    with make_graph() as graph:
        yield Easel(graph)


def test_each_object_is_filled_in_its_class_s_colour(easel: Easel) -> None:
    picture = easel.ask(INSTANCES)
    for (x, y), name in (((70, 150), 'cup'), ((200, 150), 'can')):
        assert np.abs(picture[y, x] - 0.45 * np.array(class_color(name))).max() <= 1
    assert not picture[150, 115].any()
    assert not picture[150, 160].any()


def test_without_masks_the_picture_comes_with_its_boxes(easel: Easel) -> None:
    picture = easel.ask(None)
    assert not picture[150, 70].any()
    assert picture[150, 20].any()


@pytest.mark.parametrize(
    ('instances', 'reason'), [(INSTANCES[:120], 'mask_size'), (INSTANCES * 2, 'mask_count')], ids=['size', 'count']
)
def test_masks_of_others_cost_the_masks_and_not_the_picture(easel: Easel, instances: np.ndarray, reason: str) -> None:
    before = easel.skipped(reason)
    picture = easel.ask(instances)
    assert not picture[150, 70].any()
    assert picture[150, 20].any()
    assert easel.skipped(reason) == before + 1
