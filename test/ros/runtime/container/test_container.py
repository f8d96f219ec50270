# SPDX-License-Identifier: Apache-2.0
"""The component container: load, unload, list; directly and by its services."""

from __future__ import annotations

import itertools
import sys

import pytest
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from support.waiting import wait_until

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.container.container import ComponentContainer
from isaac_inference.ros.runtime.container.spin import SpinThread

pytestmark = pytest.mark.usefixtures('ros', 'fake_robot')
_numbers = itertools.count(1)


@pytest.fixture
def container():
    """An empty container in a namespace of its own, spinning."""
    spin = SpinThread(ComponentContainer('box', namespace=f'/container_{next(_numbers)}'))
    yield spin.node
    spin.stop()


@pytest.fixture
def call(container):
    """Calls one of the container's services from another node."""
    spin = SpinThread(Node('caller', namespace=container.get_namespace()))

    def make_call(kind, service, **fields):
        client = spin.node.create_client(kind, f'box/_container/{service}')
        assert client.wait_for_service(5.0)
        future = client.call_async(kind.Request(**fields))
        wait_until(future.done)
        return future.result()

    yield make_call
    spin.stop()


def load(container, plugin='Full', name='', **options):
    return container.load('fake_robot', plugin, node_name=name, namespace=container.get_namespace(), **options)


def names(container):
    return [node.get_name() for node in container.nodes]


def in_graph(container, name):
    return name in [
        found
        for found, namespace in container.get_node_names_and_namespaces()
        if namespace == container.get_namespace()
    ]


def test_a_component_is_loaded_with_name_namespace_parameters_and_remaps(container):
    loaded = load(container, name='eyes', remappings=['image:=/cam/image'], parameters=[Parameter('size', value=3)])
    [node] = container.nodes
    assert loaded.name == node.get_fully_qualified_name() == f'{container.get_namespace()}/eyes'
    assert node.get_parameter('size').value == 3
    assert node.resolve_topic_name('image') == '/cam/image'


def test_a_component_spins_by_itself(container):
    load(container)
    calls = []
    container.nodes[0].create_timer(0.001, lambda: calls.append(1))
    wait_until(lambda: len(calls) > 2)


def test_a_slow_component_does_not_stop_another(container):
    slow, quick = load(container, name='slow').spin.node, load(container, name='quick').spin.node
    ticks, gate = [], []
    slow.create_timer(0.001, lambda: (gate.append(1), wait_until(lambda: len(ticks) > 5)))
    wait_until(lambda: gate)
    quick.create_timer(0.001, lambda: ticks.append(1))
    wait_until(lambda: len(ticks) > 5)


def test_each_component_gets_an_id_that_is_never_used_again(container):
    first, second = load(container, name='a'), load(container, name='b')
    container.unload(first.unique_id)
    third = load(container, name='a')
    assert len({first.unique_id, second.unique_id, third.unique_id}) == 3
    assert names(container) == ['b', 'a']


def test_unloading_destroys_the_node(container):
    loaded = load(container, name='eyes')
    wait_until(lambda: in_graph(container, 'eyes'))
    container.unload(loaded.unique_id)
    assert container.nodes == []
    wait_until(lambda: not in_graph(container, 'eyes'))


def test_an_unknown_id_lists_the_known_ones(container):
    with pytest.raises(ConfigError, match='component 5 is not loaded; loaded are: none'):
        container.unload(5)
    loaded = load(container)
    with pytest.raises(ConfigError, match=f'component 0 is not loaded; loaded are: {loaded.unique_id}'):
        container.unload(0)


def test_a_taken_name_is_refused_and_the_first_lives_on(container):
    loaded = load(container, name='eyes')
    with pytest.raises(
        ConfigError,
        match=f'a node named {loaded.name} is already loaded, as component '
        f'{loaded.unique_id}; give this one another name',
    ):
        load(container, 'Bare', name='eyes')
    assert container.nodes == [loaded.spin.node]


@pytest.mark.parametrize(
    ('plugin', 'says'),
    [
        ('Raises', 'plugin Raises raised while being constructed: RuntimeError: no camera on this robot'),
        ('GoesPast', 'calls Node.__init__ directly'),
        ('Broken', 'cannot be imported: OSError: libgone.so'),
        ('Nothing', 'is not installed; available: fake_robot::Bare'),
    ],
)
def test_a_component_that_cannot_be_made_says_why_and_leaves_nothing(container, plugin, says):
    with pytest.raises(ConfigError, match=says):
        load(container, plugin)
    assert container.nodes == []


@pytest.mark.parametrize('options', [{'name': 'two words'}, {'remappings': ['no rule']}, {'log_level': 15}])
def test_a_request_that_ros_refuses_is_a_config_error_and_leaves_nothing(container, options):
    with pytest.raises(ConfigError, match='two words|no rule|log level: got 15, expected one of .*20 .INFO'):
        load(container, **options)
    assert container.nodes == []
    assert not in_graph(container, 'full')


def test_the_log_level_is_set(container):
    node = load(container, log_level=40).spin.node
    assert node.get_logger().get_effective_level() == 40


def test_destroying_the_container_unloads_all_the_last_first(container):
    other = SpinThread(ComponentContainer('other_box', namespace=container.get_namespace()))
    for name in ('a', 'b', 'c'):
        load(other.node, name=name)
    destroyed = sys.modules['fake_robot_nodes'].destroyed
    destroyed.clear()
    other.stop()
    assert destroyed == ['c', 'b', 'a']
    wait_until(lambda: not in_graph(container, 'a'))


# By its services


def test_load_list_and_unload_by_service(container, call):
    size = Parameter('size', value=9).to_parameter_msg()
    answer = call(
        LoadNode,
        'load_node',
        package_name='fake_robot',
        plugin_name='fake_robot::Full',
        node_name='eyes',
        node_namespace='/robot',
        remap_rules=['image:=/cam/image'],
        parameters=[size],
    )
    assert answer.success, answer.error_message
    assert answer.full_node_name == '/robot/eyes'
    assert container.nodes[0].get_parameter('size').value == 9
    assert container.nodes[0].resolve_topic_name('image') == '/cam/image'
    listed = call(ListNodes, 'list_nodes')
    assert (list(listed.unique_ids), list(listed.full_node_names)) == ([answer.unique_id], ['/robot/eyes'])
    assert call(UnloadNode, 'unload_node', unique_id=answer.unique_id).success
    assert list(call(ListNodes, 'list_nodes').unique_ids) == []


def test_a_failed_load_answers_why(container, call):
    answer = call(LoadNode, 'load_node', package_name='fake_robot', plugin_name='fake_robot::Raises')
    assert not answer.success
    assert 'RuntimeError: no camera on this robot' in answer.error_message
    assert call(LoadNode, 'load_node', package_name='fake_robot', plugin_name='fake_robot::Full').success


def test_a_failed_unload_answers_why(container, call):
    answer = call(UnloadNode, 'unload_node', unique_id=7)
    assert not answer.success
    assert answer.error_message == 'component 7 is not loaded; loaded are: none'
