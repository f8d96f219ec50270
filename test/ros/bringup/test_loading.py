# SPDX-License-Identifier: Apache-2.0
"""Loading into a container of somebody else: that is late, elsewhere, refuses, or dies with the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from composition_interfaces.srv import LoadNode
from rclpy.node import Node
from support.waiting import LIMIT_S, wait_until

from isaac_inference.ros.bringup.loading import LOAD_SERVICE, Loading
from isaac_inference.ros.runtime.container import SpinThread
from isaac_inference.ros.runtime.container.container import ComponentContainer

NAMESPACE = '/loading'


class Log:
    def __init__(self) -> None:
        self.infos: list[str] = []
        self.errors: list[str] = []
        self.info, self.error = self.infos.append, self.errors.append


class Bench:
    """A launch system's node and thread."""

    def __init__(self) -> None:
        self.spin = SpinThread(Node('launch_system', namespace=NAMESPACE))
        self.log, self.over, self.thread = Log(), threading.Event(), threading.Thread()
        self.others: list[SpinThread] = []
        self.calls: list[LoadNode.Request] = []

    def load(self, *requests: LoadNode.Request, **options: Any) -> None:
        client = self.spin.node.create_client(LoadNode, f'{NAMESPACE}/box{LOAD_SERVICE}')
        call = client.call_async
        client.call_async = lambda wanted: (self.calls.append(wanted), call(wanted))[1]
        loading = Loading(f'{NAMESPACE}/box', self.spin.node, client, self.log, self.over.is_set, **options)
        self.thread = threading.Thread(target=loading.load, args=(requests,))
        self.thread.start()

    def run(self, node: Node) -> Node:
        self.others.append(SpinThread(node))
        return node

    def finish(self) -> None:
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()


@pytest.fixture
def bench(ros: None) -> Iterator[Bench]:
    made = Bench()
    yield made
    made.over.set()
    made.finish()
    for spin in (made.spin, *made.others):
        spin.stop()


def request(name: str, plugin: str = 'isaac_inference::AnnotateNode') -> LoadNode.Request:
    return LoadNode.Request(
        package_name='isaac_inference', plugin_name=plugin, node_name=name, node_namespace=NAMESPACE
    )


def test_nodes_are_loaded_and_a_refusal_does_not_stop_the_others(bench: Bench) -> None:
    box = bench.run(ComponentContainer('box', namespace=NAMESPACE))
    bench.load(request('a'), request('b', 'isaac_inference::NoSuch'), request('c'))
    bench.finish()
    assert [node.get_name() for node in box.nodes] == ['a', 'c']
    assert bench.log.infos == [f'loaded {NAMESPACE}/{name} into {NAMESPACE}/box' for name in 'ac']
    [error] = bench.log.errors
    assert error.startswith(f'{NAMESPACE}/box refused isaac_inference::NoSuch: plugin isaac_inference::NoSuch of')


def test_while_there_is_no_container_those_that_there_are_are_named(bench: Bench) -> None:
    bench.run(ComponentContainer('other', namespace=NAMESPACE))
    wait_until(lambda: bench.spin.node.count_services(f'{NAMESPACE}/other{LOAD_SERVICE}'))
    bench.load(request('a'), patience_s=0.0)
    wait_until(lambda: bench.log.errors)
    assert f'no container {NAMESPACE}/box, so nothing is loaded; running containers: ' in bench.log.errors[0]
    assert f'{NAMESPACE}/other' in bench.log.errors[0]
    box = bench.run(ComponentContainer('box', namespace=NAMESPACE))
    bench.finish()
    assert [node.get_name() for node in box.nodes] == ['a'], 'it is loaded once the container is there'


def test_the_end_ends_it(bench: Bench) -> None:
    bench.load(request('a'))
    bench.over.set()
    bench.finish()
    assert (bench.log.infos, bench.log.errors) == ([], [])


@pytest.mark.parametrize(
    'again', [lambda response: True, lambda response: False], ids=['the node too', 'the answer only']
)
def test_an_answer_that_is_lost_is_asked_for_again(bench: Bench, again: Callable[[Any], bool]) -> None:
    """As by a container that dies while it loads, with or without the node in the list of the next one."""
    answered: list[str] = []

    def answer(wanted: LoadNode.Request, response: LoadNode.Response) -> LoadNode.Response:
        wait_until(lambda: len(bench.calls) > 1, 'the node is asked for again')
        answered.append(wanted.node_name)
        response.success = len(answered) > 1 and again(response)
        response.full_node_name = f'{NAMESPACE}/{wanted.node_name}'
        response.error_message = '' if response.success else f'a node named {wanted.node_name} is already loaded'
        return response

    box = Node('box', namespace=NAMESPACE)
    box.create_service(LoadNode, f'{NAMESPACE}/box{LOAD_SERVICE}', answer)
    bench.run(box)
    bench.load(request('a'), answer_s=0.0)
    bench.finish()
    assert len(answered) >= 2
    assert bench.log.errors == []
