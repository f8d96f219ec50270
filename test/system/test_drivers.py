# SPDX-License-Identifier: Apache-2.0
"""Camera drivers of other packages, in processes of their own and set up as ROS installs them, before our nodes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.drivers import plain_camera
from support.ros.probe import Probe, image_message, probing

from isaac_inference.ros.bringup.graph import perception_graph
from isaac_inference.ros.runtime.resources import DDS_PROFILE_VARIABLES

pytestmark = pytest.mark.system
TIMING = pytest.mark.timing
IMAGES, RATE_HZ = 30, 10
SILENT_S = 2.0  # after so long without an image the driver has ended


def without_profile() -> dict[str, str]:
    """The environment of a process that knows nothing of our DDS profile."""
    return {name: value for name, value in os.environ.items() if name not in DDS_PROFILE_VARIABLES}


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes 416x416 pixels: its input tensors have 2 MB."""
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(416, 416))
    folder = tmp_path_factory.mktemp('model')
    return write_model(folder / 'cups.onnx', 'yolov8', input_wh=(416, 416), metadata=metadata)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def node_process(name: str, namespace: str, **parameters: Any) -> list[str]:
    words = [word for key, value in parameters.items() for word in ('-p', f'{key.replace("__", ".")}:={value}')]
    remaps = ['-r', f'__ns:={namespace}', '-r', f'__node:={name}']
    return [str(Path(sys.executable).parent / f'{name}_node'), '--ros-args', *remaps, *words]


def driver(namespace: str, width: int, height: int, reliability: str = 'reliable', count: int = IMAGES) -> list[str]:
    figures = [str(value) for value in (width, height, count, RATE_HZ)]
    return [sys.executable, plain_camera.__file__, f'{namespace}/image', *figures, reliability, '10']


@TIMING
@pytest.mark.parametrize(
    ('width', 'height', 'fewest'),
    [(640, 480, IMAGES), (1280, 720, IMAGES), (1920, 1080, IMAGES - 1)],
    ids=['VGA', '720p', '1080p'],
)
def test_all_images_of_a_driver_arrive_without_touching_it(model: Path, width: int, height: int, fewest: int) -> None:
    namespace = f'/driver_{height}'
    with probing(namespace) as probe:
        probe.node.destroy_publisher(probe.images)
        with running(node_process('preprocess', namespace, model=model, input_timeout_s=SILENT_S)):
            probe.wait_active('preprocess')
            with running(driver(namespace, width, height), without_profile()):
                probe.wait_until(lambda: int(probe.value('preprocess', 'received') or 0) > 0, 'images arrive')
                started = len(probe.reports_of('preprocess')) - 1
                probe.wait_until(lambda: 'is silent' in probe.status('preprocess').message, 'the driver has ended')
                reports = probe.reports_of('preprocess')[started:]
                assert int(probe.value('preprocess', 'received')) >= fewest
                assert probe.value('preprocess', f'qos.{namespace}/image') == 'reliable'
        stale = [report.level == DiagnosticStatus.STALE for report in reports]
        assert stale == sorted(stale)  # silent when the driver has ended, and not before


@TIMING
def test_lost_images_of_a_best_effort_driver_are_said_with_what_helps(model: Path) -> None:
    namespace = '/lossy_driver'
    with probing(namespace) as probe:
        probe.node.destroy_publisher(probe.images)
        with running(node_process('preprocess', namespace, model=model)):
            probe.wait_active('preprocess')
            with running(driver(namespace, 640, 480, 'best_effort', count=600), without_profile()):
                probe.wait_until(
                    lambda: f'{namespace}/image: messages get lost on the way' in probe.status('preprocess').message,
                    'losses are said',
                )
                assert 'fastdds_large_images.xml' in probe.status('preprocess').message
                assert probe.value('preprocess', f'qos.{namespace}/image') == 'best effort'


@TIMING
def test_frames_cross_plain_processes_that_nobody_set_up(model: Path, tmp_path: Path) -> None:
    """A profile of the user's that says nothing, in each of them: then none of ours is taken."""
    namespace, empty = '/plain_processes', tmp_path / 'empty.xml'
    empty.write_text('<dds><profiles></profiles></dds>')
    environment = {**without_profile(), **{name: str(empty) for name in DDS_PROFILE_VARIABLES[:1]}}
    with contextlib.ExitStack() as stack:
        probe: Probe = stack.enter_context(probing(namespace))
        for spec in perception_graph(model=str(model), annotate=False):
            stack.enter_context(running(node_process(spec.name, namespace, **spec.parameters), environment))
        probe.wait_active('preprocess', 'inference', 'detection')
        probe.introduce()
        for _ in range(100):
            probe.ask(image_message())
