# SPDX-License-Identifier: Apache-2.0
"""From a plan to the launch system's actions; the launch packages are stood in for by records of their arguments."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.launch_plan import LaunchArgument, LaunchPlan, Program

KINDS = {
    'launch': ['LaunchDescription'],
    'launch.actions': ['DeclareLaunchArgument', 'OpaqueFunction', 'SetEnvironmentVariable'],
    'launch.substitutions': ['LaunchConfiguration'],
    'launch_ros': [],
    'launch_ros.actions': ['ComposableNodeContainer', 'LoadComposableNodes', 'Node'],
    'launch_ros.descriptions': ['ComposableNode'],
}
NODE = NodeSpec('eye', 'eye_node', 'pack::Eye', 'pack', {'size': 3}, {'image': 'front/image'})
PLANNER = Program('planner', '/usr/bin/python3', arguments=('plan.py',), parameters={'a': 1})
RVIZ = Program('rviz', 'rviz2', 'rviz2')


class Record:
    """What an action was made with."""

    def __init__(self, *given, **options):
        self.given, self.options = given, options

    def __getattr__(self, name):
        return self.options[name]

    def perform(self, context):
        return context[self.given[0]]


@pytest.fixture
def launching(monkeypatch):
    for name, kinds in KINDS.items():
        module = ModuleType(name)
        for kind in kinds:
            setattr(module, kind, type(kind, (Record,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', 'mine.xml')
    name = 'isaac_inference.ros.bringup.launch_actions'
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


def plan(composed=True, attach=False, programs=()):
    return LaunchPlan((NODE,), '/front', composed, 'box', attach, 'warn', programs)


def kinds(actions):
    return [type(action).__name__ for action in actions]


def test_a_composed_plan_is_one_container(launching):
    [container] = launching.actions(plan())
    assert type(container).__name__ == 'ComposableNodeContainer'
    assert (container.package, container.executable) == ('isaac_inference', 'component_container')
    assert (container.name, container.namespace, container.ros_arguments) == ('box', '/front', ['--log-level', 'warn'])
    [node] = container.composable_node_descriptions
    assert (node.package, node.plugin, node.name, node.namespace) == ('pack', 'pack::Eye', 'eye', '/front')
    assert (node.parameters, node.remappings) == ([{'size': 3}], [('image', 'front/image')])


def test_attached_nodes_go_to_the_container_of_that_name(launching):
    [load] = launching.actions(plan(attach=True))
    assert load.target_container == '/front/box'
    assert [node.name for node in load.composable_node_descriptions] == ['eye']


def test_otherwise_every_node_is_a_process(launching):
    [node] = launching.actions(plan(composed=False))
    assert type(node).__name__ == 'Node'
    assert (node.package, node.executable, node.name, node.namespace) == ('pack', 'eye_node', 'eye', '/front')
    assert (node.parameters, node.remappings) == ([{'size': 3}], [('image', 'front/image')])
    assert node.ros_arguments == ['--log-level', 'warn']


@pytest.mark.parametrize('composed', [True, False])
def test_programs_are_processes_beside_the_nodes(launching, composed):
    _, planner, rviz = launching.actions(plan(composed, programs=(PLANNER, RVIZ)))
    assert (planner.package, planner.executable, planner.arguments) == (None, '/usr/bin/python3', ['plan.py'])
    assert (planner.parameters, planner.namespace) == ([{'a': 1}], '/front')
    assert (rviz.package, rviz.executable) == ('rviz2', 'rviz2')


def test_the_large_image_profile_is_set_unless_the_user_has_one(launching, monkeypatch):
    assert kinds(launching.actions(plan())) == ['ComposableNodeContainer']
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE')
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    first, _ = launching.actions(plan())
    assert type(first).__name__ == 'SetEnvironmentVariable'
    assert first.given[1].endswith('config/fastdds_large_images.xml')


def test_a_description_declares_the_arguments_and_plans_with_their_values(launching):
    arguments = (LaunchArgument('a', '1', 'first', ('1', '2')), LaunchArgument('b', '', 'second'))
    asked = []

    def make(given):
        asked.append(given)
        return plan()

    [entities] = launching.launch_description(arguments, make).given
    *declared, start = entities
    assert [(one.given[0], one.default_value, one.choices) for one in declared] == [
        ('a', '1', ('1', '2')),
        ('b', '', None),
    ]
    assert kinds(start.function({'a': '2', 'b': 'x'})) == ['ComposableNodeContainer']
    assert asked == [{'a': '2', 'b': 'x'}]
