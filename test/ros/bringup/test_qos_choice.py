# SPDX-License-Identifier: Apache-2.0
"""The launch file's qos argument: which topics get it, what goes before it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.ros.bringup.node_list import NODES
from isaac_inference.ros.bringup.qos_choice import read_qos
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build
from isaac_inference.ros.runtime.resources import shared_file

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
REALTIME = {'reliability': 'reliable', 'durability': 'volatile', 'deadline_s': 0.033, 'liveliness_lease_s': 0.1}


def nodes(**given: str) -> dict[str, Any]:
    return {spec.name: spec for spec in launch_plan({**DEFAULTS, **given}).nodes}


def test_realtime_is_what_was_asked_for():
    assert read_qos('realtime') == REALTIME


def test_every_topic_between_the_nodes_gets_it_and_none_of_the_camera_s():
    made = nodes(qos='realtime', track='true', poses='true', budget='manipulation')
    groups = {name: {key.partition('.')[0] for key in spec.parameters if '_qos.' in key} for name, spec in made.items()}
    assert groups == {
        'preprocess': {'tensor_qos', 'rectified_qos'},
        'inference': {'tensor_qos'},
        'detection': {'tensor_qos', 'detections_qos'},
        'track': {'input_qos', 'output_qos'},
        'pose': {'detections_qos', 'poses_qos'},
        'annotate': {'detections_qos', 'debug_image_qos'},
        'budget': set(),
    }
    assert made['preprocess'].parameters['tensor_qos.deadline_s'] == 0.033
    assert made['inference'].parameters['tensor_qos.reliability'] == 'reliable'


def test_a_camera_of_ours_offers_it():
    assert nodes(qos='realtime', source='0')['camera'].parameters['image_qos.deadline_s'] == 0.033


def test_every_node_accepts_it():
    for name, spec in nodes(qos='realtime', track='true', poses='true', source='0').items():
        kind = load_class('isaac_inference', NODES[name].partition(':')[2])
        build(kind.Parameters, spec.parameters)


def test_without_the_argument_each_node_has_its_own():
    assert not [key for spec in nodes().values() for key in spec.parameters if '_qos.' in key]


def test_a_parameter_file_goes_before_it(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('/**/detection:\n  ros__parameters: {tensor_qos: {deadline_s: 0.5}}\n')
    parameters = nodes(qos='realtime', params_file=str(path))['detection'].parameters
    assert parameters['tensor_qos.deadline_s'] == 0.5
    assert parameters['tensor_qos.liveliness_lease_s'] == 0.1


def test_a_copy_of_all_defaults_does_not_undo_it():
    """Who copies config/perception.yaml to change one threshold has not said anything of quality of service."""
    chosen = {'qos': 'realtime', 'track': 'true', 'poses': 'true', 'source': '0', 'cameras': ''}
    copied = nodes(**chosen, params_file=str(shared_file('config/perception.yaml')))
    for name, spec in nodes(**chosen).items():
        said = {key: value for key, value in spec.parameters.items() if '_qos.' in key}
        assert {key: copied[name].parameters[key] for key in said} == said, name


def test_of_a_copy_what_was_changed_is_said(tmp_path):
    content = yaml.safe_load(shared_file('config/perception.yaml').read_text(encoding='utf-8'))
    content['/**/detection']['ros__parameters']['tensor_qos']['depth'] = 3
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump(content))
    parameters = nodes(qos='realtime', params_file=str(path))['detection'].parameters
    assert (parameters['tensor_qos.depth'], parameters['tensor_qos.deadline_s']) == (3, 0.0)
    assert parameters['detections_qos.deadline_s'] == 0.033


def test_a_deadline_may_be_taken_back(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('/**/track:\n  ros__parameters: {input_qos.deadline_s: 0.0}\n')
    parameters = nodes(qos='realtime', track='true', params_file=str(path))['track'].parameters
    assert (parameters['input_qos.deadline_s'], parameters['output_qos.deadline_s']) == (0.0, 0.033)


def test_a_file_of_the_user_s_own(tmp_path):
    path = tmp_path / 'slow.yaml'
    path.write_text('deadline_s: 0.04\n')
    parameters = nodes(qos=str(path))['inference'].parameters
    assert parameters['tensor_qos.deadline_s'] == 0.04
    assert 'tensor_qos.reliability' not in parameters


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (
            'deadline: 0.1\nliveliness_lease_s: -1\ndepth: many\n',
            ['did you mean deadline_s?', 'liveliness_lease_s', 'depth'],
        ),
        ('', ['expected values for any of reliability, durability, depth, deadline_s, liveliness_lease_s']),
        ('a: [', ['cannot be read']),
    ],
)
def test_what_is_wrong_with_a_file_is_said_at_once(tmp_path, text, words):
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        nodes(qos=str(path))
    assert all(word in str(caught.value) for word in words)


def test_an_unknown_choice_lists_what_there_is():
    with pytest.raises(ConfigError, match=r"no choice 'real_time'; did you mean realtime\? there are: realtime"):
        nodes(qos='real_time')
