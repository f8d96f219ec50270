# SPDX-License-Identifier: Apache-2.0
"""Files that the package ships, and the Fast DDS profile among them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime import resources
from isaac_inference.ros.runtime.resources import (
    DDS_PROFILE_VARIABLES,
    dds_environment,
    dds_profile_variable,
    say_dds_profile,
    shared_file,
)


def test_a_shipped_file_is_found():
    path = shared_file('config/perception.yaml')
    assert path.is_absolute()
    assert 'ros__parameters' in path.read_text(encoding='utf-8')


def test_the_installed_file_goes_before_the_source_tree_s(tmp_path, monkeypatch):
    (tmp_path / 'share/ament_index/resource_index/packages').mkdir(parents=True)
    (tmp_path / 'share/ament_index/resource_index/packages/isaac_inference').touch()
    installed = tmp_path / 'share/isaac_inference/config/perception.yaml'
    installed.parent.mkdir(parents=True)
    installed.touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert shared_file('config/perception.yaml') == installed
    assert shared_file('package.xml').is_file(), 'what is not installed comes from the source tree'


@pytest.mark.parametrize('prefix', [None, ''])
def test_the_source_tree_serves_where_nothing_is_sourced(monkeypatch, prefix):
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    if prefix is not None:
        monkeypatch.setenv('AMENT_PREFIX_PATH', prefix)
    assert shared_file('config/perception.yaml').is_file()


def test_a_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    with pytest.raises(ConfigError, match=r'config/none\.yaml: not found in /.*; reinstall the package'):
        shared_file('config/none.yaml')


@pytest.mark.parametrize(
    ('package', 'variable'),
    [('fastrtps', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('fastdds', 'FASTDDS_DEFAULT_PROFILES_FILE')],
)
def test_the_variable_that_this_fast_dds_reads_names_the_profile(tmp_path, monkeypatch, package, variable):
    (tmp_path / 'share' / package).mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert dds_environment({}) == {variable: str(shared_file('config/fastdds_large_images.xml'))}


@pytest.mark.parametrize('name', DDS_PROFILE_VARIABLES)
def test_a_profile_of_the_user_is_left_alone(name):
    assert dds_environment({name: '/home/me/profile.xml'}) == {}
    assert dds_environment({name: ''}) != {}


class Log:
    """A logger that remembers."""

    def __init__(self):
        self.lines = []

    def debug(self, text):
        self.lines.append(('debug', text))

    def warning(self, text):
        self.lines.append(('warning', text))


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch):
    monkeypatch.setattr(resources, '_has_said_dds_profile', False)


@pytest.mark.parametrize('name', DDS_PROFILE_VARIABLES)
def test_the_profile_in_use_is_worth_a_line_for_debugging(monkeypatch, name):
    for other in DDS_PROFILE_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, '/home/me/profile.xml')
    log = Log()
    say_dds_profile(log)
    assert log.lines == [('debug', 'profile of Fast DDS: /home/me/profile.xml')]


def test_a_process_without_a_profile_says_how_to_get_one(monkeypatch):
    for name in DDS_PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    log = Log()
    say_dds_profile(log)
    say_dds_profile(Log())
    [(level, text)] = log.lines
    command = f'export {dds_profile_variable()}={shared_file("config/fastdds_large_images.xml")}'
    assert level == 'warning'
    assert f'before you start it: {command} (and where the camera driver starts' in text


def test_it_is_said_once_in_a_process_whatever_the_number_of_nodes(monkeypatch):
    for name in DDS_PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    logs = [Log(), Log(), Log()]
    for log in logs:
        say_dds_profile(log)
    assert [len(log.lines) for log in logs] == [1, 0, 0]


def test_other_middleware_has_no_such_profile(monkeypatch):
    for name in DDS_PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        'isaac_inference.ros.runtime.resources.get_rmw_implementation_identifier', lambda: 'rmw_cyclonedds_cpp'
    )
    log = Log()
    say_dds_profile(log)
    assert log.lines == []


FIRST_LINE = """
import os
import rclpy
from isaac_inference.ros.nodes.track.node import TrackNode
from rclpy.parameter import Parameter

rclpy.init()
node = TrackNode(parameter_overrides=[Parameter('autostart', value=False)])
node.trigger_configure()
node.trigger_activate()
looked_at, real = [], os.path.realpath
os.path.realpath = lambda *given, **options: looked_at.append(given) or real(*given, **options)
node.get_logger().warning('the first line')
print(len(looked_at))
node.destroy_node()
"""


def test_the_first_line_in_the_log_does_not_look_at_every_module():
    """In a process of its own, in which nothing has been logged yet."""
    environment = {**os.environ, **dict.fromkeys(DDS_PROFILE_VARIABLES, 'given')}
    ended = subprocess.run(
        [sys.executable, '-c', FIRST_LINE], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) < 50
