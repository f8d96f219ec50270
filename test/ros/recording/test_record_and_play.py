# SPDX-License-Identifier: Apache-2.0
"""Recording live topics and playing them back, over real DDS."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from types import SimpleNamespace

import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from mcap.writer import Writer
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header, Int32, String
from support.ros.probe import LATCHED, image_message
from support.waiting import LIMIT_S, wait_until
from tf2_msgs.msg import TFMessage

from isaac_inference.errors import ConfigError
from isaac_inference.ros.recording import Player, PlayOptions, Recorder, Recording, RecordingWriter, Selection
from isaac_inference.ros.recording.recorder import TopicRecord
from isaac_inference.ros.runtime.container.spin import SpinThread

pytestmark = pytest.mark.system
RELIABLE = QoSProfile(depth=100, reliability=QoSReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=100, reliability=QoSReliabilityPolicy.BEST_EFFORT)
NEVER = threading.Event()
_names = (f'/bag_{number}' for number in itertools.count(1))


@pytest.fixture
def robot():
    """A node of another participant: camera and robot; it is spun."""
    context = Context()
    rclpy.init(context=context)
    spin = SpinThread(Node('robot', context=context))
    yield spin.node
    spin.stop()
    context.shutdown()


@pytest.fixture
def space():
    """A namespace that no other test uses."""
    return next(_names)


class Session:
    """A recorder at work, and what it said."""

    def __init__(self, path, selection):
        self.said = []
        self.recorder = Recorder(RecordingWriter(path), selection, self.said.append)
        self._spin = SpinThread(self.recorder)

    def record(self, topic):
        return next((item for item in self.recorder.records() if item.name == topic), None)

    def wait_hears(self, publisher, topic):
        """Wait until recorder and publisher have found each other, both ways."""
        wait_until(lambda: publisher.get_subscription_count() and self._knows_all(topic), f'{topic} is recorded')

    def _knows_all(self, topic):
        publishers = self.recorder.count_publishers(topic)
        record = self.record(topic)
        return (
            record is not None
            and record.subscription is not None
            and record.subscription.get_publisher_count() >= publishers > 0
        )

    def has(self, topic, count):
        return (found := self.record(topic)) is not None and found.count >= count


@contextlib.contextmanager
def recording(path, **selection):
    session = Session(path, Selection(**selection))
    yield session
    session._spin.stop()
    session.recorder.finish()


@contextlib.contextmanager
def player(ros, path, said=None, **options):
    node = Node('player', enable_rosout=False)
    notify = (said if said is not None else []).append
    made = Player(node, Recording(path), PlayOptions(**options), notify)
    yield made
    made.close()
    node.destroy_node()


def listen(robot, kind, topic, qos=RELIABLE, raw=True):
    """The messages of a topic, in the list that is returned."""
    found = []
    robot.create_subscription(kind, topic, found.append, qos, raw=raw)
    return found


def write(path, topic, messages, qos=(), step_ns=1_000_000):
    with RecordingWriter(path) as writer:
        for number, message in enumerate(messages):
            writer.write(topic, message, 1_000 + number * step_ns, qos=qos)
    return path


def test_images_latched_texts_and_transforms_come_back_byte_by_byte(ros, robot, space, tmp_path):
    label = robot.create_publisher(String, f'{space}/label_info', LATCHED)
    label.publish(String(data='cup, can'))  # before anybody listens
    images = robot.create_publisher(Image, f'{space}/image', BEST_EFFORT)
    tf = robot.create_publisher(TFMessage, f'{space}/tf', RELIABLE)
    sent = [image_message() for _ in range(5)]
    transforms = TFMessage(transforms=[TransformStamped(child_frame_id='cup')])
    with recording(tmp_path / 'a.mcap', namespace=space) as session:
        session.wait_hears(images, f'{space}/image')
        session.wait_hears(tf, f'{space}/tf')
        for number, message in enumerate(sent, 1):
            images.publish(message)
            wait_until(lambda: session.has(f'{space}/image', number), f'image {number}')  # noqa: B023
        tf.publish(transforms)
        wait_until(lambda: session.has(f'{space}/tf', 1) and session.has(f'{space}/label_info', 1))
    assert any(
        line == f'recording {space}/label_info (std_msgs/msg/String, reliable, latched)' for line in session.said
    )
    for publisher in (label, images, tf):
        robot.destroy_publisher(publisher)

    file = Recording(tmp_path / 'a.mcap')
    kept = {name: [item.data for item in file.messages([name])] for name in file.topics()}
    assert set(kept) == {f'{space}/label_info', f'{space}/image', f'{space}/tf'}
    assert [item.message for item in file.messages([f'{space}/tf'])] == [transforms]
    assert [item.message for item in file.messages([f'{space}/label_info'])] == [String(data='cup, can')]
    assert [item.message for item in file.messages([f'{space}/image'])] == sent
    assert all(item.publish_time_ns <= item.log_time_ns for item in file.messages())

    heard = {
        name: listen(robot, kind, f'{space}/{name}', qos)
        for name, kind, qos in (('image', Image, RELIABLE), ('tf', TFMessage, RELIABLE))
    }
    with player(ros, tmp_path / 'a.mcap', rate=0, exact=True, wait_s=LIMIT_S) as made:
        wait_until(lambda: all(made.played[f'{space}/{name}'].publisher.get_subscription_count() for name in heard))
        assert made.play(NEVER) == sum(map(len, kept.values()))
        assert made.played[f'{space}/label_info'].qos_in_words == 'reliable, latched'
        heard['label_info'] = listen(robot, String, f'{space}/label_info', LATCHED)  # late, and still served
        wait_until(lambda: all(len(heard[name]) == len(kept[f'{space}/{name}']) for name in heard))
    assert {f'{space}/{name}': [bytes(data) for data in items] for name, items in heard.items()} == kept


def test_a_weaker_publisher_that_joins_later_is_heard_too(ros, robot, space, tmp_path):
    topic = f'{space}/words'
    first = robot.create_publisher(String, topic, RELIABLE)
    with recording(tmp_path / 'a.mcap', topics=(topic,)) as session:
        session.wait_hears(first, topic)
        first.publish(String(data='first'))
        wait_until(lambda: session.has(topic, 1))
        assert session.record(topic).lost is not None
        second = robot.create_publisher(String, topic, BEST_EFFORT)
        wait_until(lambda: any('has joined' in line for line in session.said), 'the recorder notices it')
        session.wait_hears(second, topic)
        second.publish(String(data='second'))
        wait_until(lambda: session.has(topic, 2))
    assert f'{topic}: a best effort publisher has joined; subscribed again to receive it' in session.said
    assert {item.message.data for item in Recording(tmp_path / 'a.mcap').messages()} == {'first', 'second'}


def test_types_that_cannot_be_recorded_are_named_once(ros, tmp_path, monkeypatch):
    said = []
    recorder = Recorder(RecordingWriter(tmp_path / 'a.mcap'), Selection(topics=('/wing', '/mixed')), said.append)
    found = [('/wing', ['wing_msgs/msg/Flap']), ('/mixed', ['a/msg/A', 'b/msg/B'])]
    monkeypatch.setattr(recorder, 'get_topic_names_and_types', lambda: found)
    monkeypatch.setattr(recorder, 'get_publishers_info_by_topic', lambda topic: [SimpleNamespace(qos_profile=RELIABLE)])
    recorder.look_around()
    recorder.look_around()
    recorder.destroy_node()
    recorder.finish()
    assert len(said) == 2
    assert said[0].startswith('not recorded: /wing: wing_msgs/msg/Flap: the message package wing_msgs is not installed')
    assert said[1] == 'not recorded: /mixed: is published with several types, a/msg/A, b/msg/B'


@pytest.mark.parametrize(
    ('given', 'topic', 'wanted'),
    [
        ({}, '/image', True),
        ({}, '/rosout', False),
        ({}, '/parameter_events', False),
        ({}, '/a/_action/status', False),
        ({'everything': True}, '/rosout', True),
        ({'everything': True, 'exclude': 'ros'}, '/rosout', False),
        ({'exclude': '/debug'}, '/a/debug_image', False),
        ({'namespace': 'a'}, '/a/image', True),
        ({'namespace': '/a/'}, '/ab/image', False),
        ({'namespace': 'a'}, '/tf_static', True),
        ({'topics': ('image', '/b')}, '/image', True),
        ({'topics': ('image', '/b'), 'namespace': 'a'}, '/a/image', True),
        ({'topics': ('image', '/b'), 'namespace': 'a'}, '/b', True),
        ({'topics': ('image',)}, '/tf', False),
        ({'topics': ('/rosout',)}, '/rosout', True),
    ],
)
def test_which_topics_are_wanted(given, topic, wanted):
    assert Selection(**given).wants(topic) == wanted


def test_a_bad_expression_is_refused():
    with pytest.raises(ConfigError, match='not a regular expression'):
        Selection(exclude='(')


def test_gaps_in_the_numbers_of_a_single_publisher_are_losses(ros, tmp_path):
    recorder = Recorder(RecordingWriter(tmp_path / 'a.mcap'), Selection(topics=('/nothing',)), print)
    record = recorder_record(recorder, [RELIABLE])
    for number in (5, 6, 9, 9, 2, 3, None, 4, 1 << 63):
        recorder._receive(record, b'\x00\x01\x00\x00\x02\x00\x00\x00a\x00', {'publication_sequence_number': number})
    assert (record.count, record.lost) == (9, 2), 'a publisher that begins anew loses nothing'
    several = recorder_record(recorder, [RELIABLE, RELIABLE])
    for number in (1, 9):
        recorder._receive(several, b'\x00\x01\x00\x00\x02\x00\x00\x00a\x00', {'publication_sequence_number': number})
    assert several.lost is None, 'with two publishers a gap says nothing'
    recorder.destroy_node()
    recorder.finish()


def recorder_record(recorder, offers):
    return TopicRecord('/words', 'std_msgs/msg/String', offers=tuple(offers))


# playing


def test_the_recorded_spacing_is_kept_by_the_rate(ros, robot, space, tmp_path):
    path = write(tmp_path / 'a.mcap', f'{space}/n', [Int32(data=n) for n in range(4)], step_ns=100_000_000)
    with player(ros, path, rate=2.0, remap={f'{space}/n': f'{space}/m'}, wait_s=LIMIT_S) as made:
        heard = listen(robot, Int32, f'{space}/m', raw=False)
        assert made.wait_for_subscribers(NEVER) == []
        begin = time.monotonic()
        assert made.play(NEVER) == 4
        assert time.monotonic() - begin >= 0.15
        wait_until(lambda: len(heard) == 4)
    assert [message.data for message in heard] == [0, 1, 2, 3]


def test_it_begins_again_until_it_is_stopped(ros, robot, space, tmp_path):
    path = write(tmp_path / 'a.mcap', f'{space}/n', [Int32(data=n) for n in range(2)])
    stop = threading.Event()
    with player(ros, path, loop=True, wait_s=LIMIT_S) as made:
        robot.create_subscription(Int32, f'{space}/n', lambda m: made.played[f'{space}/n'].count > 6 and stop.set(), 10)
        made.wait_for_subscribers(NEVER)
        assert made.play(stop) > 6


def test_stamps_move_to_now_and_keep_their_distance(ros, robot, space, tmp_path):
    headers = [Header(), Header()]
    for number, header in enumerate(headers):
        header.stamp.nanosec = 1_000 + number * 1_000_000
    path = write(tmp_path / 'a.mcap', f'{space}/image', [image_message(header=header) for header in headers])
    with player(ros, path, stamp_now=True, exact=True, rate=0.5, wait_s=LIMIT_S) as made:
        heard = listen(robot, Image, f'{space}/image', raw=False)
        assert made.wait_for_subscribers(NEVER) == []
        now = time.time_ns()
        made.play(NEVER)
        wait_until(lambda: len(heard) == 2)
    first, second = (message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in heard)
    assert now <= first < now + LIMIT_S * 10**9
    assert second - first == 2_000_000


def test_a_missing_subscriber_is_reported_and_not_waited_for(ros, space, tmp_path):
    path = write(tmp_path / 'a.mcap', f'{space}/n', [Int32()])
    with player(ros, path, wait_s=0.0) as made:
        assert made.wait_for_subscribers(NEVER) == [f'{space}/n']
        assert made.play(NEVER) == 1


def test_topics_of_missing_packages_are_named_once_a_package(ros, space, tmp_path):
    with open(tmp_path / 'a.mcap', 'wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        for number, (kind, text) in enumerate(
            (('wing_msgs/msg/Flap', ''), ('wing_msgs/msg/Tail', ''), ('std_msgs/msg/String', 'int8 x'))
        ):
            schema = writer.register_schema(kind, 'ros2msg', text.encode())
            writer.add_message(writer.register_channel(f'/t{number}', 'cdr', schema), 1, b'\0\1\0\0\0', 1)
        schema = writer.register_schema('std_msgs/msg/Int32', 'ros2msg', b'int32 data')
        channel = writer.register_channel(f'{space}/n', 'cdr', schema)
        writer.add_message(channel, 1, serialize_message(Int32()), 1)
        writer.finish()
    said = []
    with player(ros, tmp_path / 'a.mcap', said) as made:
        assert list(made.played) == [f'{space}/n']
    assert len(said) == 3
    assert '/t0: wing_msgs/msg/Flap: the message package wing_msgs is not installed' in said[0]
    assert '/t2: std_msgs/String was recorded as (int8 x), but (string data) is installed' in said[1]
    assert said[2] == 'not played either, because wing_msgs is missing: /t1'


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        ({'topics': ('/nose',)}, r'no topic /nose to play; available: /n'),
        ({'remap': {'/nose': '/n'}}, r'no topic /nose to play'),
        ({'rate': -1.0}, 'rate -1.0: expected'),
        ({'rate': float('nan')}, 'rate nan: expected'),
    ],
)
def test_what_makes_no_sense_is_refused(ros, tmp_path, options, says):
    path = write(tmp_path / 'a.mcap', '/n', [Int32()])
    with pytest.raises(ConfigError, match=says):
        Player(rclpy.create_node('player'), Recording(path), PlayOptions(**options))


def test_an_empty_recording_cannot_be_played(ros, tmp_path):
    RecordingWriter(tmp_path / 'a.mcap').close()
    with pytest.raises(ConfigError, match='holds no message that can be played'):
        Player(None, Recording(tmp_path / 'a.mcap'), PlayOptions())
