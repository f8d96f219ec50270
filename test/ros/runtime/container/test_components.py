# SPDX-License-Identifier: Apache-2.0
"""Components of any package: found by entry point, imported, constructed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from isaac_inference.errors import ConfigError
from isaac_inference.ros.nodes.detection import DetectionNode
from isaac_inference.ros.runtime.container.components import available, create, load_class

pytestmark = pytest.mark.usefixtures('fake_robot')


@pytest.fixture
def construct(ros: None) -> Iterator[object]:
    """Constructs a component of the fake package as a load request does; destroyed at the end."""
    made: list[Node] = []

    def make(name, node_name='', namespace='', arguments=(), **parameters):
        overrides = [Parameter(key, value=value) for key, value in parameters.items()]
        cli_args = ['--ros-args', *arguments] if arguments else []
        made.append(
            create(
                load_class('fake_robot', name),
                context=rclpy.get_default_context(),
                node_name=node_name,
                namespace=namespace,
                cli_args=cli_args,
                parameter_overrides=overrides,
            )
        )
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


def test_the_components_of_this_package_are_offered():
    names = 'Annotate Budget Camera Completion Crops Depth Detection Fusion Ground Inference Keypoints Pose Preprocess '
    names += 'Segmentation SimCamera Skeletons Stereo Tags Track'
    assert available('isaac_inference') == [f'isaac_inference::{name}Node' for name in names.split()]


def test_the_components_of_all_packages_are_offered():
    assert {'isaac_inference::CameraNode', 'fake_robot::Full'} <= set(available())
    assert available('fake_robo') == []


@pytest.mark.parametrize('plugin', ['isaac_inference::DetectionNode', 'DetectionNode'])
def test_a_plugin_is_found_with_and_without_its_package(plugin):
    assert load_class('isaac_inference', plugin) is DetectionNode


@pytest.mark.parametrize(
    ('package', 'plugin'),
    [('fake_robot', 'fake_robot::Fulll'), ('fake_robot', 'Fulll'), ('fake_robot', 'isaac_inference::CameraNode')],
)
def test_an_unknown_plugin_lists_those_of_its_package(package, plugin):
    with pytest.raises(
        ConfigError,
        match=f'plugin {plugin} of package fake_robot is not installed; '
        'available: fake_robot::Bare, .*fake_robot::Full,',
    ) as caught:
        load_class(package, plugin)
    assert 'isaac_inference::PreprocessNode' not in str(caught.value)


def test_an_unknown_package_lists_all_plugins():
    with pytest.raises(ConfigError, match='package nobody is not installed; available: .*isaac_inference::CameraNode'):
        load_class('nobody', 'nobody::Node')


@pytest.mark.parametrize(
    ('plugin', 'reason'),
    [('Broken', 'OSError: libgone.so: cannot open'), ('Gone', "AttributeError: .*has no attribute 'Gone'")],
)
def test_a_plugin_that_cannot_be_imported_says_why(plugin, reason):
    with pytest.raises(ConfigError, match=f'{plugin} of package fake_robot cannot be imported: {reason}; repair'):
        load_class('fake_robot', plugin)


@pytest.mark.parametrize('plugin', ['NoNode', 'function'])
def test_a_plugin_that_is_no_node_says_what_it_is(plugin):
    with pytest.raises(ConfigError, match=f'plugin {plugin} of package fake_robot is <.*{plugin}.*expected a subclass'):
        load_class('fake_robot', plugin)


@pytest.mark.parametrize(
    ('plugin', 'own_name'),
    [
        ('Full', 'full'),
        ('Fixed', 'fixed'),
        ('Bare', 'bare'),
        ('BareLifecycle', 'bare_lifecycle'),
        ('Partial', 'partial'),
    ],
)
def test_every_style_of_constructor_gets_name_namespace_parameters_and_remaps(construct, plugin, own_name):
    node = construct(plugin, 'renamed', '/robot', ['-r', 'image:=/cam/image'], size=7)
    assert node.get_fully_qualified_name() == '/robot/renamed'
    assert node.get_parameter('size').value == 7
    assert node.resolve_topic_name('image') == '/cam/image'
    assert isinstance(node, load_class('fake_robot', plugin))
    plain = construct(plugin)
    assert plain.get_fully_qualified_name() == f'/{own_name}'
    assert plain.get_parameter('size').value == 1


def test_a_constructor_that_goes_past_rclpy_s_keywords_is_refused(construct):
    with pytest.raises(ConfigError, match=r'GoesPast calls Node.__init__ directly.*super\(\).__init__'):
        construct('GoesPast', 'renamed')
