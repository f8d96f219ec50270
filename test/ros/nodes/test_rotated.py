# SPDX-License-Identifier: Apache-2.0
"""The detections of a running pipeline whose model finds rotated boxes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_models import known_angle, known_detections, ultralytics_metadata, write_model
from support.ros.probe import image_message

LABELS = ['cup', 'can', 'box']


@pytest.mark.parametrize(('kind', 'end2end'), [('yolov8_obb', False), ('end_to_end_rotated', True)])
def test_detections_have_the_sides_before_the_turn_and_the_angle(
    make_graph: Callable[..., AbstractContextManager[Any]], tmp_path: Path, kind: str, end2end: bool
) -> None:
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64), task='obb', end2end=end2end)
    path = write_model(tmp_path / 'rotated.onnx', kind, input_wh=(64, 64), metadata=metadata)
    with make_graph() as graph:
        graph.load_all(path)
        array = graph.probe.ask(image_message(np.full((128, 128, 3), 255, np.uint8)))
    known = known_detections(3, (64, 64))
    assert [item.results[0].hypothesis.class_id for item in array.detections] == LABELS
    found = [
        (item.bbox.center.position.x, item.bbox.center.position.y, item.bbox.size_x, item.bbox.size_y)
        for item in array.detections
    ]
    corners = [np.multiply(item.xyxy, 2) for item in known]
    expected = [((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0) for x0, y0, x1, y1 in corners]
    np.testing.assert_allclose(found, expected, atol=0.1)
    thetas = [item.bbox.center.theta for item in array.detections]
    np.testing.assert_allclose(thetas, [known_angle(item) for item in known], atol=1e-3)
