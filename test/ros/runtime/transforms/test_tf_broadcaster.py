# SPDX-License-Identifier: Apache-2.0
"""Transforms over real DDS: within a process, between processes, with other publishers, late joiners, remapped."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from support.waiting import LIMIT_S as WAIT_S
from support.waiting import wait_until
from tf2_msgs.msg import TFMessage

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.transforms import TransformError, make_transform_source
from isaac_inference.ros.runtime.transforms.broadcaster import FramePose, TransformBroadcaster

S = 1_000_000_000
START = 1000 * S
NO_TURN = (0.0, 0.0, 0.0, 1.0)
_numbers = itertools.count(1)


@contextlib.contextmanager
def spun(name, **options):
    spin = SpinThread(Node(f'{name}_{next(_numbers)}', context=rclpy.get_default_context(), **options))
    yield spin.node
    spin.stop()


@contextlib.contextmanager
def listening(node):
    with contextlib.closing(make_transform_source(node, 'pytransform3d')) as source:
        yield source


@pytest.fixture
def source(here):
    with listening(here) as made:
        yield made


@pytest.fixture
def frames():
    """Two names that no other test has."""
    number = next(_numbers)
    return f'map_{number}', f'base_{number}'


def x_of(matrix):
    return matrix[0, 3]


def wait_heard(broadcaster, source):
    """Wait until the two have found each other, both ways."""
    writer, [reader, _] = broadcaster._dynamic_writer, source._readers
    wait_until(lambda: writer.get_subscription_count() > 0 and reader.get_publisher_count() > 0, 'the source hears /tf')


@pytest.mark.parametrize('where', ['one node', 'two nodes', 'two participants'])
def test_broadcaster_and_source(here, far, source, frames, where):
    with contextlib.ExitStack() as stack:
        nodes = {'one node': here, 'two participants': far}
        node = nodes.get(where) or stack.enter_context(spun('talker'))
        broadcaster = stack.enter_context(contextlib.closing(TransformBroadcaster(node)))
        map_frame, base_frame = frames
        broadcaster.send_static([(base_frame, 'lens', 0, (0, 0, 1), NO_TURN)])
        wait_heard(broadcaster, source)
        broadcaster.send([(map_frame, base_frame, START, (0, 0, 0), NO_TURN)])
        broadcaster.send([(map_frame, base_frame, START + S, (5, 0, 0), (0, 0, 2, 2))])
        found = source.wait(map_frame, 'lens', START + S, WAIT_S)
        assert found == pytest.approx(np.array([[0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]), abs=1e-9)


def test_a_late_joiner_hears_all_static_transforms(far, frames):
    map_frame, base_frame = frames
    with contextlib.closing(TransformBroadcaster(far)) as broadcaster, contextlib.ExitStack() as stack:
        for index, child in enumerate((base_frame, 'one', 'two', base_frame)):
            broadcaster.send_static([(map_frame, child, 0, (index, 0, 0), NO_TURN)])
        late = stack.enter_context(listening(stack.enter_context(spun('late'))))
        assert x_of(late.wait(map_frame, base_frame, START, WAIT_S)) == 3
        assert x_of(late.wait('one', 'two', START, WAIT_S)) == 1


def test_a_late_joiner_is_not_told_that_a_frame_stands_still_that_moves_now(far, frames):
    map_frame, base_frame = frames
    with contextlib.closing(TransformBroadcaster(far)) as broadcaster, contextlib.ExitStack() as stack:
        for child in (base_frame, 'one', 'two'):
            broadcaster.send_static([(map_frame, child, 0, (1, 0, 0), NO_TURN)])
        broadcaster.send([(map_frame, base_frame, START, (2, 0, 0), NO_TURN)])
        late = stack.enter_context(listening(stack.enter_context(spun('late'))))
        assert x_of(late.wait('one', 'two', START, WAIT_S)) == 0
        with pytest.raises(TransformError, match=f'{base_frame!r} was never received'):
            late.lookup(map_frame, base_frame, START)


def test_frames_are_published_without_a_leading_slash(far):
    published = []
    with contextlib.closing(TransformBroadcaster(far)) as broadcaster:
        for name in ('_dynamic_writer', '_static_writer'):
            getattr(broadcaster, name).publish = lambda message: published.extend(message.transforms)
        broadcaster._dynamic_writer.get_subscription_count = lambda: 1  # nothing is sent to nobody
        broadcaster.send([('/map', '/base', START, (0, 0, 0), NO_TURN)])
        broadcaster.send_static([('/map', '/lens', 0, (0, 0, 0), NO_TURN)])
        assert [(item.header.frame_id, item.child_frame_id) for item in published] == [('map', 'base'), ('map', 'lens')]
        with pytest.raises(FrameError, match='two different frames'):
            broadcaster.send([('/map', 'map', START, (0, 0, 0), NO_TURN)])


def test_publishers_as_tf2_makes_them_are_heard(far, source, frames):
    map_frame, base_frame = frames
    static = far.create_publisher(
        TFMessage, '/tf_static', QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    )
    message = TransformStamped(child_frame_id=base_frame)
    message.header.frame_id = map_frame
    message.transform.translation.x = 4.0
    static.publish(TFMessage(transforms=[message]))
    assert x_of(source.wait(map_frame, base_frame, START, WAIT_S)) == 4
    far.destroy_publisher(static)


def test_topics_can_be_remapped(far, frames):
    map_frame, base_frame = frames
    with spun('moved', cli_args=['--ros-args', '-r', '/tf_static:=/robot/tf_static']) as node, listening(node) as moved:
        other = TransformBroadcaster(far)
        other.send_static([(map_frame, base_frame, 0, (1, 0, 0), NO_TURN)])
        own = TransformBroadcaster(node)
        own.send_static([(map_frame, base_frame, 0, (2, 0, 0), NO_TURN)])
        assert x_of(moved.wait(map_frame, base_frame, START, WAIT_S)) == 2
        other.close()
        own.close()


def test_the_worker_waits_while_the_executor_receives(here, source, frames):
    map_frame, base_frame = frames
    found = []
    worker = threading.Thread(target=lambda: found.append(source.wait(map_frame, base_frame, START, WAIT_S)))
    worker.start()
    with contextlib.closing(TransformBroadcaster(here)) as broadcaster:
        wait_until(lambda: here.count_subscribers('/tf_static') > 0)
        broadcaster.send_static([(map_frame, base_frame, 0, (1, 0, 0), NO_TURN)])
        worker.join(WAIT_S)
    assert x_of(found[0]) == 1


@pytest.mark.system
def test_another_process_is_heard(ros, source, frames):
    script = f"""
        import time
        import rclpy
        from isaac_inference.ros.runtime.transforms.broadcaster import TransformBroadcaster
        rclpy.init()
        broadcaster = TransformBroadcaster(rclpy.create_node('elsewhere'))
        broadcaster.send_static([('{frames[1]}', 'lens', 0, (0, 0, 1), (0, 0, 0, 1))])
        for x in range(100_000):
            broadcaster.send([('{frames[0]}', '{frames[1]}', {START} + x * 10_000_000, (x, 0, 0), (0, 0, 0, 1))])
            time.sleep(0.01)
    """
    process = subprocess.Popen([sys.executable, '-c', textwrap.dedent(script)])
    try:
        wait_until(lambda: frames[1] in source._tree._edges, 'the other process is heard')
        newest = source._tree._edges[frames[1]].newest_ns
        assert source.wait(frames[0], 'lens', newest + 95_000_000, WAIT_S)[:3, 3] == pytest.approx(
            [(newest + 95_000_000 - START) / 10_000_000, 0, 1]
        )
    finally:
        process.kill()
        process.wait()


BAD = {
    'nan': (('a', 'b', 0, (float('nan'), 0, 0), NO_TURN), 'not a transform'),
    'no turn': (('a', 'b', 0, (0, 0, 0), (0, 0, 0, 0)), 'not a transform'),
    'short': (('a', 'b', 0, (0, 0), NO_TURN), 'not a transform'),
    'itself': (('a', 'a', 0, (0, 0, 0), NO_TURN), 'two different frames'),
    'no name': (('', 'b', 0, (0, 0, 0), NO_TURN), 'fill in header.frame_id'),
}


@pytest.mark.parametrize(('bad', 'text'), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize('name', ['send', 'send_static'])
def test_what_is_no_transform_is_not_sent(here, source, frames, bad, text, name):
    with contextlib.closing(TransformBroadcaster(here)) as broadcaster:
        with pytest.raises(FrameError, match=text) as caught:
            getattr(broadcaster, name)([(*frames, 0, (0, 0, 0), NO_TURN), bad])
        assert caught.value.reason == 'bad_transform'
        broadcaster.send_static([(frames[0], 'after', 0, (0, 0, 0), NO_TURN)])
        source.wait(frames[0], 'after', START, WAIT_S)
        with pytest.raises(TransformError, match='was never received'):
            source.lookup(*frames, 0)


@pytest.mark.parametrize('stamp', [0, Time()])
def test_what_moves_is_not_sent_without_a_stamp(here, source, frames, stamp):
    with contextlib.closing(TransformBroadcaster(here)) as broadcaster:
        with pytest.raises(FrameError, match=f'{frames[1]}: no stamp') as caught:
            broadcaster.send([FramePose(*frames, stamp, (0, 0, 0), NO_TURN)])
        assert caught.value.reason == 'tf_zero_stamp'
        broadcaster.send_static([FramePose(frames[0], 'after', stamp, (0, 0, 0), NO_TURN)])
        source.wait(frames[0], 'after', START, WAIT_S)
        assert source.counts['tf_zero_stamp'] == 0


def test_a_stamp_may_be_a_message_s(here, source, frames):
    with contextlib.closing(TransformBroadcaster(here)) as broadcaster:
        wait_heard(broadcaster, source)
        broadcaster.send([FramePose(*frames, Time(sec=1000, nanosec=5), np.array([1, 0, 0]), np.array(NO_TURN))])
        assert x_of(source.wait(*frames, START + 5, WAIT_S)) == 1


def test_nothing_to_send_is_not_sent(here):
    messages = []
    with contextlib.closing(TransformBroadcaster(here)) as broadcaster:
        for writer in (broadcaster._dynamic_writer, broadcaster._static_writer):
            writer.publish = messages.append
        broadcaster.send([])
        broadcaster.send_static([])
    assert messages == []
