# SPDX-License-Identifier: Apache-2.0
"""From images of several cameras to their detections, through one model."""

from __future__ import annotations

import numpy as np
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.probe import image_message
from support.ros.streams.cameras import STREAMS
from support.ros.streams.chains import CameraChains

LABELS = ['cup', 'can', 'box']


def test_each_camera_gets_its_own_detections_whatever_its_size(empty_graph, tmp_path):
    """One sees white and finds all, one sees black and finds nothing, one sends malformed images."""
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64))
    model = write_model(tmp_path / 'any.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata, dynamic='batch')
    chains = CameraChains(empty_graph, model, STREAMS)
    for _ in range(3):
        chains.images['rear'].publish(image_message(step=1))
        white = chains.ask('front', image_message(np.full((48, 96, 3), 255, np.uint8)))
        black = chains.ask('left', image_message(np.zeros((64, 64, 3), np.uint8)))
        assert [one.results[0].hypothesis.class_id for one in white.detections] == LABELS
        assert white.header.frame_id == 'front_lens'
        assert (list(black.detections), black.header.frame_id) == ([], 'left_lens')
    assert not chains.found['rear']
    chains.probe.wait_until(lambda: chains.value('inference', 'stream.left.processed') == '3')
    assert chains.value('inference', 'dropped') == '0'
