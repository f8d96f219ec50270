# SPDX-License-Identifier: Apache-2.0
"""What a container had is there again in the process that takes its place."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from rclpy.parameter import Parameter
from support.ros.probe import Probe, probing
from support.waiting import LIMIT_S

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.container.roster import Roster

NAMESPACE = '/survivors'


def request(name: str, **parameters: object) -> LoadNode.Request:
    return LoadNode.Request(
        package_name='isaac_inference',
        plugin_name='isaac_inference::AnnotateNode',
        node_name=name,
        node_namespace=NAMESPACE,
        parameters=[Parameter(key, value=value).to_parameter_msg() for key, value in parameters.items()],
    )


class TestFile:
    def test_requests_come_back_as_they_were(self, tmp_path):
        wanted = [request('a', rate=[1.0, 2.0], names=['x', 'ü']), request('b', rate=[1, 2])]
        Roster(tmp_path / 'deep' / 'list', given=True).write(wanted)
        assert Roster(tmp_path / 'deep' / 'list', given=True).read() == wanted
        assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['list']

    def test_no_file_is_nothing_to_load(self, tmp_path):
        assert Roster(tmp_path / 'list', given=True).read() == []

    @pytest.mark.parametrize(('given', 'left'), [(True, True), (False, False)])
    def test_a_clean_end_removes_its_own_file_only(self, tmp_path, given, left):
        roster = Roster(tmp_path / 'list', given=given)
        roster.write([request('a')])
        roster.end()
        assert (tmp_path / 'list').exists() == left
        roster.end()

    @pytest.mark.parametrize('mode', [0o620, 0o602])
    def test_what_others_may_have_written_is_not_loaded(self, tmp_path, mode):
        roster = Roster(tmp_path / 'list', given=True)
        roster.write([request('a')])
        (tmp_path / 'list').chmod(mode)
        with pytest.raises(ConfigError, match='component list .*list: another user may have written it'):
            roster.read()

    @pytest.mark.parametrize('text', [b'?', b'AAAA', b'\xff', b'AQ'])
    def test_a_file_that_is_no_list_is_an_error(self, tmp_path, text):
        (tmp_path / 'list').write_bytes(text)
        with pytest.raises(ConfigError, match='component list .*list: '):
            Roster(tmp_path / 'list', given=True).read()

    def test_it_is_that_of_the_name_and_the_parent(self):
        one, other = Roster.of_process('/a/box'), Roster.of_process('/b/box')
        assert one is not None and other is not None
        assert one.path == Roster.of_process('/a/box').path
        assert one.path != other.path
        assert str(os.getppid()) in one.path.name


@pytest.fixture
def start(tmp_path, monkeypatch) -> Iterator[object]:
    """Starts a container process `box`; killed at the end."""
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    started: list[subprocess.Popen[bytes]] = []

    def run(*words: str) -> subprocess.Popen[bytes]:
        command = 'from isaac_inference.ros.executables import component_container as main; main()'
        names = ['-r', f'__ns:={NAMESPACE}', '-r', '__node:=box']
        started.append(subprocess.Popen([sys.executable, '-c', command, '--ros-args', *names, *words]))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope='module')
def probe(ros) -> Iterator[Probe]:
    with probing(NAMESPACE) as made:
        yield made


def call(probe, service, kind, wanted):
    """The container's answer. A killed one stays in the graph for a while and never answers: then it is asked again."""
    client = probe.node.create_client(kind, f'box/_container/{service}')
    probe.wait_until(client.service_is_ready, f'{service} is served')
    for _ in range(20):
        future = client.call_async(wanted)
        with contextlib.suppress(AssertionError):
            probe.wait_until(future.done, limit_s=LIMIT_S / 20)
            break
    probe.node.destroy_client(client)
    return future.result()


def listed(probe):
    return list(call(probe, 'list_nodes', ListNodes, ListNodes.Request()).full_node_names)


@pytest.mark.system
def test_a_container_that_was_killed_has_its_components_again_and_one_that_ended_has_none(start, probe):
    first = start()
    loaded = [call(probe, 'load_node', LoadNode, request(name)) for name in ('a', 'b', 'c')]
    assert all(answer.success for answer in loaded)
    assert call(probe, 'unload_node', UnloadNode, UnloadNode.Request(unique_id=loaded[1].unique_id)).success
    first.kill()
    first.wait()

    second = start()
    assert listed(probe) == [f'{NAMESPACE}/a', f'{NAMESPACE}/c']
    probe.wait_report('c')
    second.terminate()
    assert second.wait(LIMIT_S) == 0

    start()
    assert listed(probe) == []


@pytest.mark.system
def test_a_given_list_is_loaded_at_every_start_whatever_the_end(start, probe, tmp_path):
    Roster(tmp_path / 'given', given=True).write([request('d'), request('not a name'), request('e')])
    words = ['-p', f'components_file:={tmp_path / "given"}']
    for end in (subprocess.Popen.kill, subprocess.Popen.terminate, subprocess.Popen.terminate):
        process = start(*words)
        assert listed(probe) == [f'{NAMESPACE}/d', f'{NAMESPACE}/e']
        end(process)
        process.wait(LIMIT_S)
