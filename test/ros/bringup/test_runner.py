# SPDX-License-Identifier: Apache-2.0
"""What a process of a graph is started with is what its node gets."""

from __future__ import annotations

from enum import Enum

import pytest
import rclpy

from isaac_inference.ros.bringup import runner
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.node_list import executable, plugin


class Way(str, Enum):
    NO = 'no'


@pytest.mark.parametrize(
    'value',
    [
        '',
        ' ',
        'true',
        'No',
        '1e3',
        '0x10',
        '12',
        '~',
        'null',
        '.nan',
        '[a, b]',
        '{a: b}',
        'a: b',
        'a # b',
        '- a',
        '&a',
        '*a',
        '!!int 3',
        '%',
        "it's",
        'say "hi"',
        'C:\\new\\table',
        'two\nlines\tand a tab',
        '/tmp/Modèle ü 模型/m.onnx',
        Way.NO,
        True,
        False,
        0,
        -3,
        2**40,
        0.0,
        2.0,
        1e-7,
        -1.5e20,
        ['', 'on', "a'b", '3'],
        ('a', 'b'),
        [1, 2],
        [0.5, 2.0],
        [True, False],
    ],
    ids=repr,
)
def test_a_value_arrives_as_the_type_and_text_that_it_was(ros, value):
    spec = NodeSpec('any', executable('track'), plugin('track'), parameters={'given': value, 'after': 1})
    command = runner._command(spec, '/here', '')
    node = rclpy.create_node(
        'any', cli_args=command[command.index('--ros-args') :], automatically_declare_parameters_from_overrides=True
    )
    try:
        got = node.get_parameter('given').value
        expected = value.value if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value
        got = list(got) if not isinstance(got, (str, bool, int, float)) else got
        assert got == expected
        assert repr(got) == repr(expected), 'the type too'
        assert node.get_parameter('after').value == 1
    finally:
        node.destroy_node()
