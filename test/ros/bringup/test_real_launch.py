# SPDX-License-Identifier: Apache-2.0
"""The launch files with the real launch system: in every way that a user's own launch file includes them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import Parameter
from support.onnx_models import ultralytics_metadata, write_model
from support.paths import ROOT
from support.ros.launching import launched, why_not
from support.ros.probe import Probe, probing

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]

PERCEPTION = str(ROOT / 'launch' / 'perception.launch.py')
NODES = ('preprocess', 'inference', 'detection', 'annotate')
PUSHED = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch_ros.actions import ComposableNodeContainer, Node, PushRosNamespace, SetParameter, SetRemap

def generate_launch_description():
    perception = IncludeLaunchDescription({path!r}, launch_arguments={arguments!r}.items())
    return LaunchDescription([GroupAction([{around}, perception])])
"""
XML = """<launch><group><push_ros_namespace namespace="robot1"/><set_parameter name="score_threshold" value="0.66"/>
<include file="{path}"><arg name="model" value="{model}"/><arg name="params_file" value="{params}"/></include>
</group></launch>"""
YAML = """launch:
- group:
  - push_ros_namespace: {{namespace: robot1}}
  - include:
      file: {path}
      arg:
      - {{name: model, value: {model}}}
      - {{name: params_file, value: {params}}}
"""
SECTIONS = """
/robot1/detection: {ros__parameters: {score_threshold: 0.77}}
/robot2/detection: {ros__parameters: {score_threshold: 0.11}}
"""


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64))
    path = tmp_path_factory.mktemp('model') / 'cups.onnx'
    return str(write_model(path, 'yolov8', input_wh=(64, 64), metadata=metadata))


@pytest.fixture
def params(tmp_path: Path) -> str:
    (tmp_path / 'parameters.yaml').write_text(SECTIONS)
    return str(tmp_path / 'parameters.yaml')


@pytest.fixture(scope='module')
def probe() -> Iterator[Probe]:
    with probing('/robot1') as made:
        yield made


def value(probe: Probe, node: str, name: str) -> Any:
    """A parameter of a running node."""
    client = probe.node.create_client(GetParameters, f'{node}/get_parameters')
    probe.wait_until(client.service_is_ready, f'{node} is there')
    future = client.call_async(GetParameters.Request(names=[name]))
    probe.wait_until(future.done, f'{node} answers')
    probe.node.destroy_client(client)
    return Parameter.from_parameter_msg(type('P', (), {'name': name, 'value': future.result().values[0]})).value


def including(tmp_path: Path, around: str, **arguments: str) -> str:
    """A user's launch file, which includes this package's among the actions `around`."""
    path = tmp_path / 'robot.launch.py'
    path.write_text(PUSHED.format(path=PERCEPTION, arguments=arguments, around=around))
    return str(path)


def test_the_time_of_clock_can_be_given_on_the_line(probe, model):
    with launched(
        'isaac_inference', 'perception.launch.py', f'model:={model}', 'use_sim_time:=true', 'namespace:=robot1'
    ) as run:
        assert [value(probe, f'/robot1/{node}', 'use_sim_time') for node in NODES] == [True] * 4
        assert run.interrupt() == 0
        assert not run.found('Traceback|exit code')


@pytest.mark.parametrize('file', [['isaac_inference', 'perception.launch.py'], [PERCEPTION]])
def test_an_argument_that_there_is_not_is_refused(model, file):
    with launched(*file, f'model:={model}', 'use_sim_tme:=true') as run:
        assert run.wait() == 1
        assert run.found('launch argument use_sim_tme: no such argument, did you mean use_sim_time')
        assert not run.found('process started')


def test_arguments_of_an_including_launch_file_are_its_own(tmp_path, model):
    with launched(including(tmp_path, "SetParameter('x', 1)", model=model), 'robot:=7') as run:
        run.wait_for('loaded isaac_inference::AnnotateNode')  # launch itself stumbles over a process that dies at once
        assert run.interrupt() == 0


@pytest.mark.parametrize('composed', ['true', 'false'])
def test_sections_parameters_and_remaps_reach_nodes_below_a_pushed_namespace(tmp_path, probe, model, params, composed):
    around = "PushRosNamespace('robot1'), SetParameter('buffer_size', 7), SetRemap('image', '/cam/image')"
    file = including(tmp_path, around, model=model, params_file=params, composed=composed, image='image')
    with launched(file) as run:
        assert value(probe, '/robot1/detection', 'score_threshold') == 0.77
        assert value(probe, '/robot1/annotate', 'buffer_size') == 7
        assert run.found(
            'section /robot2/detection applies to no node that is started here; nearest is /robot1/detection'
        )
        probe.wait_active('preprocess', 'detection')
        probe.wait_until(lambda: 'nobody publishes /cam/image' in probe.status('preprocess').message)
        assert run.interrupt() == 0
        assert not run.found('no such parameter|Traceback|exit code')


@pytest.mark.parametrize(('name', 'text'), [('robot.launch.xml', XML), ('robot.launch.yaml', YAML)])
def test_launch_files_in_xml_and_yaml_include_it_too(tmp_path, probe, model, params, name, text):
    (tmp_path / name).write_text(text.format(path=PERCEPTION, model=model, params=params))
    with launched(str(tmp_path / name)) as run:
        assert value(probe, '/robot1/detection', 'score_threshold') == 0.77
        assert run.interrupt() == 0


def test_a_setparameter_is_not_undone_by_defaults(tmp_path, probe, model):
    around = "PushRosNamespace('robot1'), SetParameter('score_threshold', 0.66), SetParameter('use_sim_time', True)"
    with launched(including(tmp_path, around, model=model)) as run:
        assert value(probe, '/robot1/detection', 'score_threshold') == 0.66
        assert value(probe, '/robot1/preprocess', 'use_sim_time') is True
        assert run.interrupt() == 0


def test_it_attaches_to_a_container_in_the_pushed_namespace(tmp_path, probe, model):
    container = (
        "PushRosNamespace('robot1'), ComposableNodeContainer(package='isaac_inference', namespace='', "
        "executable='component_container', name='perception_container')"
    )
    with launched(including(tmp_path, container, model=model, attach='true')) as run:
        for node in NODES:
            run.wait_for(f'loaded /robot1/{node} into /robot1/perception_container')
        assert run.interrupt() == 0


def test_a_container_that_is_not_there_is_asked_for_aloud(model):
    words = ['isaac_inference', 'perception.launch.py', f'model:={model}', 'attach:=true', 'container:=/nowhere/box']
    with launched(*words) as run:
        run.wait_for('attach: no container /nowhere/box, so nothing is loaded; running containers: ')
        assert run.interrupt() == 0
        assert not run.found('Traceback|Caught exception')


@pytest.mark.parametrize(('composed', 'process'), [('true', 'component_container'), ('false', 'detection_node')])
def test_a_process_that_is_killed_comes_back_with_its_nodes(probe, model, composed, process):
    words = [f'model:={model}', 'namespace:=robot1', f'composed:={composed}']
    with launched('isaac_inference', 'perception.launch.py', *words) as run:
        probe.wait_active(*NODES)
        [started] = run.wait_for(rf'{process}-\d+\]: process started with pid \[(\d+)\]')
        os.kill(int(started[1]), signal.SIGKILL)
        run.wait_for(rf'{process}-\d+\]: process started', times=2)
        probe.introduce()
        assert run.interrupt() == 0


def test_a_user_s_own_node_action_has_the_profile_for_large_images(tmp_path, model, monkeypatch):
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / 'own.launch.py').write_text(
        'from launch import LaunchDescription\nfrom launch_ros.actions import Node\n'
        "def generate_launch_description():\n    return LaunchDescription([Node(package='isaac_inference', "
        f"executable='preprocess_node', parameters=[{{'model': {model!r}}}], output='screen')])\n"
    )
    with launched(str(tmp_path / 'own.launch.py')) as run:
        with probing('') as probe:
            probe.wait_active('preprocess')
        assert not run.found('Fast DDS profile')
        assert run.interrupt() == 0


def test_the_demo_ends_cleanly_with_its_planner(model):
    with launched('isaac_inference', 'demo.launch.py') as run:
        run.wait_for('process started', times=2)
        run.wait_for('loaded isaac_inference::AnnotateNode')
        assert run.interrupt() == 0
        assert len(run.wait_for('process has finished cleanly')) == 2
        assert not run.found('exit code|Traceback')
