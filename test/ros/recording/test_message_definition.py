# SPDX-License-Identifier: Apache-2.0
"""Message definitions as text, and classes by name."""

from __future__ import annotations

import importlib
import inspect

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ros.recording import UnknownTypeError, message_class, message_definition
from isaac_inference.ros.recording.message_definition import (
    difference,
    fields_as_text,
    layout,
    parse_fields,
    type_name_of,
)

PACKAGES = ('sensor_msgs', 'vision_msgs', 'geometry_msgs', 'tf2_msgs', 'rcl_interfaces', 'diagnostic_msgs', 'std_msgs')
TEXT = """\
# a comment with a field in it: int8 no
uint8 KIND=3   # constants are no fields
string NAME="a # b"
Header header
float64[9] k  # nine
string<=10[<=5] names
int32 count -1
byte[] data
"""


def types_of(package):
    module = importlib.import_module(f'{package}.msg')
    return [type_name_of(kind) for _, kind in inspect.getmembers(module, inspect.isclass)]


def test_the_definition_brings_every_type_once_and_the_root_first():
    text = message_definition('vision_msgs/msg/Detection3DArray')
    root, *others = text.split('=' * 80 + '\n')
    assert parse_fields(root, 'vision_msgs') == (
        ('std_msgs/Header', 'header'),
        ('vision_msgs/Detection3D[]', 'detections'),
    )
    names = [part.partition('\n')[0] for part in others]
    assert sorted(names) == sorted(set(names))
    assert {'MSG: std_msgs/Header', 'MSG: builtin_interfaces/Time', 'MSG: geometry_msgs/Quaternion'} <= set(names)
    assert '#' in text, 'comments come along'


@pytest.mark.parametrize('package', PACKAGES)
def test_without_files_the_classes_say_the_same(package, monkeypatch):
    names = types_of(package)
    assert names
    from_files = {name: layout(message_definition(name), name) for name in names}
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    assert {name: layout(message_definition(name), name) for name in names} == from_files


def test_fields_of_a_text():
    assert parse_fields(TEXT, 'std_msgs') == (
        ('std_msgs/Header', 'header'),
        ('float64[9]', 'k'),
        ('string<=10[<=5]', 'names'),
        ('int32', 'count'),
        ('byte[]', 'data'),
    )


def test_bounds_and_arrays_are_told_from_a_class():
    class Kind:
        @staticmethod
        def get_fields_and_field_types():
            return {
                'a': 'sequence<double, 5>',
                'b': 'boolean[3]',
                'c': 'string<10>',
                'd': 'sequence<string<4>, 2>',
                'e': 'sequence<std_msgs/Header>',
                'f': 'octet',
            }

    assert fields_as_text(Kind).splitlines() == [
        'float64[<=5] a',
        'bool[3] b',
        'string<=10 c',
        'string<=4[<=2] d',
        'std_msgs/Header[] e',
        'byte f',
    ]


def test_a_changed_type_is_named_and_comments_and_bytes_by_another_name_are_no_change():
    installed = layout(message_definition('sensor_msgs/msg/CompressedImage'), 'sensor_msgs/msg/CompressedImage')
    recorded = layout('std_msgs/Header header # x\nstring format\nbyte[] data\n', 'sensor_msgs/msg/CompressedImage')
    assert difference(recorded, installed) == ''
    recorded = layout('std_msgs/Header header\nbyte[] data\n', 'sensor_msgs/CompressedImage')
    said = difference(recorded, installed)
    assert said.startswith('sensor_msgs/CompressedImage was recorded as (std_msgs/Header header, uint8[] data), but (')


@pytest.mark.parametrize('name', ['sensor_msgs/srv/SetCameraInfo', 'Image', 'os/path', '../msg/Image', 'a/msg/B/c', ''])
def test_only_names_of_messages_are_taken(name):
    with pytest.raises(ConfigError, match='expected the name of a message type'):
        message_class(name)


def test_a_type_that_is_not_installed_names_its_package():
    with pytest.raises(UnknownTypeError, match=r'package flying_robot_msgs is not installed') as caught:
        message_class('flying_robot_msgs/msg/Wing')
    assert caught.value.package == 'flying_robot_msgs'
    assert 'ros-$ROS_DISTRO-flying-robot-msgs' in str(caught.value)
    with pytest.raises(UnknownTypeError, match='the installed std_msgs has no such message'):
        message_class('std_msgs/msg/Wing')
