# SPDX-License-Identifier: Apache-2.0
"""The graph as separate processes, from the same list of nodes, over real DDS."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.probe import Probe, image_message, probing
from support.waiting import LIMIT_S

from isaac_inference.ros.bringup.graph import NodeSpec, perception_graph

NAMESPACE = '/by_processes'
pytestmark = pytest.mark.system


def start(spec: NodeSpec) -> subprocess.Popen[bytes]:
    parameters = [word for name, value in spec.parameters.items() for word in ('-p', f'{name}:={value}')]
    return subprocess.Popen(
        [
            str(Path(sys.executable).parent / spec.executable),
            '--ros-args',
            '-r',
            f'__ns:={NAMESPACE}',
            '-r',
            f'__node:={spec.name}',
            *parameters,
        ]
    )


@pytest.fixture(scope='module')
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[subprocess.Popen[bytes]]]:
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64))
    model = write_model(tmp_path_factory.mktemp('model') / 'cups.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)
    started = [start(spec) for spec in perception_graph(model=str(model), annotate=False)]
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope='module')
def probe(processes: list[subprocess.Popen[bytes]]) -> Iterator[Probe]:
    with probing(NAMESPACE) as made:
        made.wait_active('preprocess', 'inference', 'detection')
        made.introduce()
        yield made


def test_separate_processes_detect(probe: Probe) -> None:
    array = probe.ask(image_message())
    assert [item.results[0].hypothesis.class_id for item in array.detections] == ['cup', 'can', 'box']


def test_a_1080p_image_crosses_processes_and_its_boxes_come_back_in_its_own_pixels(probe: Probe) -> None:
    array = probe.ask(image_message(np.full((1080, 1920, 3), 255, np.uint8)))
    assert array.detections
    centers = [item.bbox.center.position for item in array.detections]
    assert [center.x for center in centers] == pytest.approx([480, 960, 1440], abs=1)
    assert [center.y for center in centers] == pytest.approx([540] * 3, abs=1)


def test_every_process_ends_cleanly_on_sigterm(probe: Probe, processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(LIMIT_S) for process in processes] == [0, 0, 0]
