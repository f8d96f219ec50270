# SPDX-License-Identifier: Apache-2.0
"""From a plan to the launch system's actions; the launch packages are stood in for by records of their arguments."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from composition_interfaces.srv import LoadNode
from rclpy.parameter import Parameter

from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.launch_plan import LaunchArgument, LaunchPlan, Program
from isaac_inference.ros.runtime.container.roster import Roster

KINDS = {
    'launch': ['LaunchDescription'],
    'launch.logging': [],
    'launch.actions': ['DeclareLaunchArgument', 'OpaqueFunction', 'SetEnvironmentVariable'],
    'launch.substitutions': ['LaunchConfiguration'],
    'launch_ros': [],
    'launch_ros.actions': ['Node'],
    'launch_ros.actions.load_composable_nodes': [],
    'launch_ros.descriptions': ['ComposableNode'],
    'launch_ros.ros_adapters': [],
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
        return context.launch_configurations[self.given[0]]


class Context:
    """A launch context: configurations, and what was left running in it."""

    is_shutdown = False

    def __init__(self, **configurations):
        self.launch_configurations = configurations
        self.asyncio_loop = self
        self.watched, self.asked = [], []

    def create_client(self, kind, name):
        self.asked.append(name)

    def get_locals_as_dict(self):
        return {'current_launch_file_path': '/share/launch/perception.launch.py'}

    def run_in_executor(self, pool, function, *arguments):
        return function, arguments

    def add_completion_future(self, future):
        self.watched.append(future)


class Log:
    """A logger that remembers."""

    def __init__(self):
        self.lines = []
        self.warning = self.lines.append


def load_request(description, context):
    """What the container is asked for, with the namespace that was pushed at that time."""
    return LoadNode.Request(
        package_name=description.package,
        plugin_name=description.plugin,
        node_name=description.name,
        node_namespace=description.namespace,
        remap_rules=[f'{source}:={target}' for source, target in description.remappings],
        parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in description.parameters[0].items()
        ],
    )


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def launching(monkeypatch, tmp_path, log):
    for name, kinds in KINDS.items():
        module = ModuleType(name)
        for kind in kinds:
            setattr(module, kind, type(kind, (Record,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    made = sys.modules['launch.logging']
    made.launch_config, made.get_logger = Record(log_dir=str(tmp_path)), lambda name: log
    sys.modules['launch'].logging = made
    sys.modules['launch_ros.actions.load_composable_nodes'].get_composable_node_load_request = load_request
    sys.modules['launch_ros.ros_adapters'].get_ros_node = lambda context: context
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', 'mine.xml')
    name = 'isaac_inference.ros.bringup.launch_actions'
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


def plan(composed=True, attach=False, programs=(), respawn=True, remarks=()):
    return LaunchPlan((NODE,), '/front', composed, '/front/box', attach, 'warn', respawn, programs, remarks)


def kinds(actions):
    return [type(action).__name__ for action in actions]


def test_a_composed_plan_is_one_container_that_loads_the_nodes_in_each_of_its_lives(launching):
    [container] = launching.actions(plan(), Context())
    assert type(container).__name__ == 'Node'
    assert (container.package, container.executable) == ('isaac_inference', 'component_container')
    assert (container.name, container.namespace, container.ros_arguments) == ('box', '/front', ['--log-level', 'warn'])
    assert (container.respawn, container.respawn_delay) == (True, 2.0)
    [node] = Roster(Path(container.parameters[0]['components_file']), given=True).read()
    assert (node.package_name, node.plugin_name, node.node_name) == ('pack', 'pack::Eye', 'eye')
    assert (node.node_namespace, list(node.remap_rules)) == ('/front', ['image:=front/image'])
    assert [Parameter.from_parameter_msg(one).value for one in node.parameters] == [3]


def test_attached_nodes_go_to_the_container_of_that_name(launching):
    context = Context()
    assert launching.actions(plan(attach=True), context) == []
    assert context.asked == ['/front/box/_container/load_node']
    [(load, ([request],))] = context.watched
    assert load.__name__ == 'load'
    assert (request.plugin_name, request.node_name, request.node_namespace) == ('pack::Eye', 'eye', '/front')


def test_otherwise_every_node_is_a_process(launching):
    [node] = launching.actions(plan(composed=False), Context())
    assert type(node).__name__ == 'Node'
    assert (node.package, node.executable, node.name, node.namespace) == ('pack', 'eye_node', 'eye', '/front')
    assert (node.parameters, node.remappings) == ([{'size': 3}], [('image', 'front/image')])
    assert node.ros_arguments == ['--log-level', 'warn']
    assert (node.respawn, node.respawn_delay) == (True, 2.0)


@pytest.mark.parametrize('composed', [True, False])
def test_what_ends_stays_down_where_that_is_wished(launching, composed):
    [node] = launching.actions(plan(composed, respawn=False), Context())
    assert 'respawn' not in node.options


@pytest.mark.parametrize('composed', [True, False])
def test_programs_are_processes_beside_the_nodes(launching, composed):
    _, planner, rviz = launching.actions(plan(composed, programs=(PLANNER, RVIZ)), Context())
    assert (planner.package, planner.executable, planner.arguments) == (None, '/usr/bin/python3', ['plan.py'])
    assert (planner.parameters, planner.namespace) == ([{'a': 1}], '/front')
    assert (rviz.package, rviz.executable) == ('rviz2', 'rviz2')
    assert 'respawn' not in rviz.options, 'a window that was closed stays closed'


def test_the_large_image_profile_is_set_unless_the_user_has_one(launching, monkeypatch):
    assert kinds(launching.actions(plan(), Context())) == ['Node']
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE')
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    first, _ = launching.actions(plan(), Context())
    assert type(first).__name__ == 'SetEnvironmentVariable'
    assert first.given[1].endswith('config/fastdds_large_images.xml')


def test_a_description_declares_the_arguments_and_plans_with_their_values(launching, log):
    arguments = (LaunchArgument('a', '1', 'first', ('1', '2')), LaunchArgument('b', '', 'second'))
    asked = []

    def make(given, pushed):
        asked.append((given, pushed))
        return plan(remarks=('look here',))

    [entities] = launching.launch_description(arguments, make).given
    *declared, start = entities
    assert [(one.given[0], one.default_value, one.choices) for one in declared] == [
        ('a', '1', ('1', '2')),
        ('b', '', None),
    ]
    assert kinds(start.function(Context(a='2', b='x'))) == ['Node']
    assert kinds(start.function(Context(a='2', b='x', c='y', ros_namespace='/robot1'))) == ['Node']
    assert asked == [({'a': '2', 'b': 'x'}, ''), ({'a': '2', 'b': 'x'}, '/robot1')]
    assert log.lines == ['look here', 'look here']


@pytest.mark.parametrize('composed', [True, False])
def test_a_node_of_a_camera_is_below_the_graph_s_namespace(launching, composed):
    below = replace(plan(composed), nodes=(replace(NODE, namespace='objects/left'),))
    [action] = launching.actions(below, Context())
    if composed:
        [request] = Roster(Path(action.parameters[0]['components_file']), given=True).read()
        assert request.node_namespace == '/front/objects/left'
    else:
        assert action.namespace == '/front/objects/left'
