# SPDX-License-Identifier: Apache-2.0
"""The graph as data: its nodes are installed, and its topics meet."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from rclpy.node import Node

from isaac_inference.nodes.graph import perception_graph
from isaac_inference.runtime.components import load_class

WHOLE = perception_graph(source='photos', model='m.onnx', model_card='m.yaml')


def named(**options):
    return {spec.name: spec for spec in perception_graph(**options)}


@pytest.mark.parametrize('spec', WHOLE, ids=lambda spec: spec.name)
def test_every_plugin_is_an_installed_node(spec):
    assert issubclass(load_class(spec.package, spec.plugin), Node)


@pytest.mark.parametrize('spec', WHOLE, ids=lambda spec: spec.name)
def test_every_executable_is_installed_and_of_the_plugin_s_module(spec):
    [entry] = [entry for entry in entry_points(group='console_scripts') if entry.name == spec.executable]
    assert callable(entry.load())
    assert entry.module == load_class(spec.package, spec.plugin).__module__


@pytest.mark.parametrize('spec', WHOLE, ids=lambda spec: spec.name)
def test_every_parameter_is_declared_by_its_node(spec):
    declared = load_class(spec.package, spec.plugin).Parameters.__dataclass_fields__
    assert set(spec.parameters) <= set(declared)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, ['preprocess', 'inference', 'detection', 'annotate']),
        ({'source': '0'}, ['camera', 'preprocess', 'inference', 'detection', 'annotate']),
        ({'annotate': False}, ['preprocess', 'inference', 'detection']),
    ],
)
def test_the_nodes_come_in_the_order_of_the_data(options, expected):
    assert [spec.name for spec in perception_graph(**options)] == expected


def test_every_stage_gets_the_same_model_and_card():
    specs = named(model='m.onnx', model_card='m.yaml', source='photos')
    for name in ('preprocess', 'inference', 'detection'):
        assert specs[name].parameters == {'model': 'm.onnx', 'model_card': 'm.yaml'}
    assert specs['camera'].parameters == {'source': 'photos'}
    assert specs['annotate'].parameters == {}


def test_what_is_not_given_is_left_to_the_parameter_file():
    assert all(not spec.parameters for spec in perception_graph())


def test_camera_preprocess_and_annotate_meet_on_the_image_topic():
    specs = named(image='/front/image_raw', camera_info='/front/camera_info', source='0')
    assert specs['camera'].remappings == {'image': '/front/image_raw', 'camera_info': '/front/camera_info'}
    assert specs['preprocess'].remappings == {
        'image': '/front/image_raw',
        'image/compressed': '/front/image_raw/compressed',
    }
    assert specs['annotate'].remappings == {'image': '/front/image_raw'}
    assert specs['inference'].remappings == specs['detection'].remappings == {}
