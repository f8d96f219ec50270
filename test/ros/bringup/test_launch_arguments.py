# SPDX-License-Identifier: Apache-2.0
"""Arguments that the launch file does not have are refused, those of an including launch file are left to it."""

from __future__ import annotations

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.launch_arguments import given_on_the_line, refuse_unknown
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS

LINE = ['/opt/ros/bin/ros2', 'launch', '--debug', 'isaac_inference', 'perception.launch.py']


def test_the_line_of_this_package_is_read():
    assert given_on_the_line([*LINE, 'model:=a:=b.onnx', 'imag:=x'], '/share/perception.launch.py') == ['model', 'imag']


def test_so_is_that_of_the_file_itself_by_any_path(tmp_path, monkeypatch):
    (tmp_path / 'perception.launch.py').touch()
    monkeypatch.chdir(tmp_path)
    line = ['ros2', 'launch', './perception.launch.py', 'imag:=x']
    assert given_on_the_line(line, str(tmp_path / 'perception.launch.py')) == ['imag']


@pytest.mark.parametrize(
    'line',
    [
        ['ros2', 'launch', 'my_robot', 'perception.launch.py', 'robot:=7'],
        ['ros2', 'launch', '/ws/my_robot/launch/perception.launch.py', 'robot:=7'],
        ['ros2', 'launch', 'my_robot', 'all.launch.py', 'package:=isaac_inference', 'robot:=7'],
        ['my_supervisor', 'isaac_inference', 'robot:=7'],
    ],
)
def test_the_arguments_of_a_launch_file_that_includes_this_one_are_its_own(line):
    assert given_on_the_line(line, '/share/isaac_inference/launch/perception.launch.py') == []


def test_what_there_is_passes():
    refuse_unknown([*(argument.name for argument in ARGUMENTS), 'launch-prefix', 'launch-prefix-filter'], ARGUMENTS)


def test_what_there_is_not_is_refused_with_what_was_meant():
    with pytest.raises(ConfigError) as caught:
        refuse_unknown(['model', 'use_sim_tme', 'zzz'], ARGUMENTS)
    first, second = str(caught.value).split('; ')
    assert first == 'launch argument use_sim_tme: no such argument, did you mean use_sim_time?'
    assert second.startswith('launch argument zzz: no such argument, there are: model, model_card, image')
