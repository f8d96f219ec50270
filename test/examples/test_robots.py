# SPDX-License-Identifier: Apache-2.0
"""The worked set-ups of docs/robots.md: each launch file is loaded, and what it starts runs before such a driver.

The launch system itself is stood in for by records of what the files ask of it, unless it is installed: it is not on
PyPI. The drivers are processes of their own, set up as ROS installs them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from support.paths import ROOT
from support.ros.drivers import robot_cameras
from support.ros.probe import Probe, probing
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.models.demo import demo_model
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, LaunchPlan, launch_plan
from isaac_inference.ros.runtime.container.container import ComponentContainer
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.resources import DDS_PROFILE_VARIABLES
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

pytestmark = pytest.mark.system
ROBOTS = ROOT / 'examples' / 'robots'
FILES = sorted(ROBOTS.glob('*.launch.py'))


class Record:
    """What an action or a substitution was made with."""

    def __init__(self, *given: Any, **options: Any) -> None:
        self.given, self.options = given, options


STOOD_IN_FOR = {
    'launch': ['LaunchDescription'],
    'launch.actions': ['DeclareLaunchArgument', 'IncludeLaunchDescription'],
    'launch.launch_description_sources': ['PythonLaunchDescriptionSource'],
    'launch.substitutions': ['LaunchConfiguration', 'PathJoinSubstitution'],
    'launch_ros': [],
    'launch_ros.substitutions': ['FindPackageShare'],
}


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kinds in STOOD_IN_FOR.items():
        module = ModuleType(name)
        for kind in kinds:
            setattr(module, kind, type(kind, (Record,), {}))
        monkeypatch.setitem(sys.modules, name, module)


def asked_for(file: Path) -> dict[str, str]:
    """The arguments that a launch file gives to perception.launch.py, with the demo model as its own."""
    spec = importlib.util.spec_from_file_location('robot_launch_file', file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [actions] = module.generate_launch_description().given
    [declared, include] = actions
    assert declared.given == ('model',)
    [source] = include.given
    assert in_words(source.given[0]) == 'launch/perception.launch.py'
    given = {name: in_words(value) for name, value in include.options['launch_arguments']}
    assert given['model'] == '$model'
    return {**given, 'model': str(demo_model())}


def in_words(value: Any) -> str:
    """A substitution's result, where the package's share folder is the repository."""
    kind = type(value).__name__
    if kind == 'LaunchConfiguration':
        return f'${value.given[0]}'
    if kind == 'PathJoinSubstitution':
        return '/'.join(in_words(part) for part in value.given[0] if type(part).__name__ != 'FindPackageShare')
    return str(value)


def planned(file: Path) -> LaunchPlan:
    given = asked_for(file)
    known = {argument.name: argument.default for argument in ARGUMENTS}
    assert set(given) <= set(known)
    if 'params_file' in given:
        given['params_file'] = str(ROOT / given['params_file'])
    return launch_plan({**known, **given})


@contextlib.contextmanager
def started(plan: LaunchPlan) -> Iterator[ComponentContainer]:
    """The plan's nodes in a container, as the launch system would load them."""
    spin = SpinThread(ComponentContainer('robot_container'))
    try:
        for spec in plan.nodes:
            spin.node.load(
                spec.package,
                spec.plugin,
                node_name=spec.name,
                namespace=plan.namespace,
                remappings=[f'{source}:={target}' for source, target in spec.remappings.items()],
                parameters=[Parameter(name, value=value) for name, value in spec.parameters.items()],
            )
        yield spin.node
    finally:
        spin.stop()


@contextlib.contextmanager
def driving(kind: str) -> Iterator[None]:
    environment = {name: value for name, value in os.environ.items() if name not in DDS_PROFILE_VARIABLES}
    command = [sys.executable, robot_cameras.__file__, kind]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
    try:
        yield
        assert process.poll() is None, 'the driver ended by itself'
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def robot(kind: str) -> Iterator[Probe]:
    """A driver, what its launch file starts, and a probe that hears boxes, poses and the truth."""
    plan = planned(ROBOTS / f'{kind}.launch.py')
    with probing('') as probe:
        probe.node.destroy_publisher(probe.images)
        for topic in ('/truth', 'track/detections_3d'):
            probe.listen(topic, Detection3DArray)
        with driving(kind), started(plan):
            yield probe


def pairs(probe: Probe, topic: str) -> list[tuple[Any, Detection3DArray]]:
    """What came out and what was true, by stamp: of frames in which something was found."""
    truths = {stamp_ns(truth.header): truth for truth in list(probe.received['/truth'])}
    found = [array for array in list(probe.received[topic]) if array.detections]
    return [(array, truths[stamp_ns(array.header)]) for array in found if stamp_ns(array.header) in truths]


def share_found(found: Detection2DArray | Detection3DArray, truth: Detection3DArray) -> float:
    """Of the objects that are mostly visible, those whose class was found."""
    wanted = [item.results[0].hypothesis for item in truth.detections if item.results[0].hypothesis.score > 0.7]
    classes = {item.results[0].hypothesis.class_id for item in found.detections}
    return float(np.mean([one.class_id in classes for one in wanted])) if wanted else 1.0


def errors(found: Detection3DArray, truth: Detection3DArray, offset_z: float = 0.0) -> list[float]:
    """Of each pose: distance to the nearest true object of its class, over the distance from the camera."""
    made = []
    for item in found.detections:
        name, at = item.results[0].hypothesis.class_id, position(item) - [0, 0, offset_z]
        there = [position(one) for one in truth.detections if one.results[0].hypothesis.class_id == name]
        made.append(min((float(np.linalg.norm(at - one) / np.linalg.norm(one)) for one in there), default=1.0))
    return made


def position(item: Any) -> np.ndarray:
    place = item.results[0].pose.pose.position
    return np.array([place.x, place.y, place.z])


def test_every_set_up_of_the_page_is_a_launch_file_and_the_other_way_round() -> None:
    page = (ROOT / 'docs' / 'robots.md').read_text(encoding='utf-8')
    assert {file.name for file in FILES} == {f'{kind}.launch.py' for kind in robot_cameras.KINDS}
    assert all(f'examples/robots/{file.name}' in page for file in FILES)


def test_a_realsense_gives_poses_in_the_robot_s_base(ros: None, launching: None) -> None:
    with robot('realsense') as probe:
        probe.wait_until(lambda: len(pairs(probe, 'track/detections_3d')) >= 8, 'poses')
        found = pairs(probe, 'track/detections_3d')
        assert {array.header.frame_id for array, _ in found} == {'base_link'}
        missed = [error for pair in found for error in errors(*pair, offset_z=robot_cameras.BASE_HEIGHT_M)]
        assert np.median(missed) < 0.02
        probe.wait_report('preprocess')  # one that is younger than the poses
        assert probe.value('preprocess', 'transport').startswith(
            'compressed (/camera/camera/color/image_raw/compressed)'
        )
        assert 'unpaired_depth' not in probe.wait_report('pose').message


def test_a_usb_camera_without_calibration_gives_boxes(ros: None, launching: None) -> None:
    with robot('usb_camera') as probe:
        probe.wait_until(lambda: len(pairs(probe, 'detections')) >= 8, 'boxes')
        assert np.mean([share_found(*pair) for pair in pairs(probe, 'detections')]) > 0.7


def test_a_gige_camera_of_12_bits_gives_poses(ros: None, launching: None) -> None:
    with robot('gige_camera') as probe:
        probe.wait_until(lambda: len(pairs(probe, 'track/detections_3d')) >= 8, 'poses')
        found = pairs(probe, 'track/detections_3d')
        assert np.mean([share_found(*pair) for pair in found]) > 0.6
        assert np.median([error for pair in found for error in errors(*pair)]) < 0.03
        probe.wait_report('preprocess')  # one that is younger than the poses
        assert probe.value('preprocess', 'bit_depth').startswith('12')
        assert probe.value('preprocess', 'qos./gige/image_raw') == 'best effort'


def test_a_recording_in_a_loop_goes_on_after_each_jump(ros: None, launching: None) -> None:
    with robot('bag_loop') as probe:
        jumps = lambda: int(probe.value('track', 'time_jumps') or 0)  # noqa: E731
        probe.wait_until(lambda: jumps() >= 2, 'it has begun anew twice')
        before = len(probe.received['track/detections_3d'])
        probe.wait_until(lambda: len(probe.received['track/detections_3d']) >= before + 8, 'poses go on')
        stamps = [stamp_ns(array.header) for array in probe.received['track/detections_3d']]
        assert {stamp // 10**12 for stamp in stamps} == {int(robot_cameras.BagLoop.begin_s) // 1000}
