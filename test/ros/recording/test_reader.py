# SPDX-License-Identifier: Apache-2.0
"""Reading recordings: whole ones, others' ones, and what is left of broken ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, Writer
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from isaac_inference.errors import ConfigError, FrameError, PerceptionError
from isaac_inference.ros.recording import Recording, RecordingWriter, UnknownTypeError, message_definition

STRING = 'std_msgs/msg/String'


def words(recording):
    return [item.message.data for item in recording.messages()]


def foreign(path, messages, *, profile='ros2', encoding='cdr', type_name=STRING, metadata=None, text=None, **options):
    """A recording as other programs write it: (log time, word) on /words."""
    with open(path, 'wb') as file:
        writer = Writer(file, **options)
        writer.start(profile=profile)
        schema = writer.register_schema(type_name, 'ros2msg', (text or message_definition(STRING)).encode())
        channel = writer.register_channel('/words', encoding, schema, metadata or {})
        for time_ns, word in messages:
            writer.add_message(channel, time_ns, serialize_message(String(data=word)), time_ns)
        writer.finish()
    return path


@pytest.fixture
def long_file(tmp_path):
    """Twenty words in ten chunks, finished."""
    with RecordingWriter(tmp_path / 'long.mcap') as writer:
        for number in range(20):
            writer.write('/words', String(data=f'word {number}'), number)
            if number % 2:
                writer.flush()
    return tmp_path / 'long.mcap'


def test_what_was_written_is_read(recorded, messages):
    recording = Recording(recorded)
    assert [(item.topic, item.message, item.log_time_ns) for item in recording.messages()] == messages
    assert {name: (topic.type_name, topic.count) for name, topic in recording.topics().items()} == {
        '/camera/image': ('sensor_msgs/msg/Image', 2),
        '/words': (STRING, 2),
        '/tf': ('tf2_msgs/msg/TFMessage', 2),
    }
    assert (recording.problem, recording.unusable) == ('', {})
    assert recording.duration_s == pytest.approx(0.05)
    assert [item.topic for item in recording.messages(['/words'])] == ['/words', '/words']
    assert list(recording.messages([])) == []
    assert all(recording.mismatch(name) == '' for name in recording.topics())


def test_two_iterations_do_not_disturb_one_another(recorded):
    recording = Recording(recorded)
    pairs = list(zip(recording.messages(), recording.messages(), strict=True))
    assert len(pairs) == 6
    assert all(one == other for one, other in pairs)


def test_an_unknown_topic_is_refused_at_once(recorded):
    with pytest.raises(ConfigError, match=r'no topic /nose in this recording; it has /camera/image, /tf, /words'):
        Recording(recorded).messages(['/nose'])


def test_messages_come_by_log_time(tmp_path):
    with RecordingWriter(tmp_path / 'a.mcap') as writer:
        for time_ns in (30, 10, 20):
            writer.write('/words', String(data=str(time_ns)), time_ns)
            writer.flush()
    assert words(Recording(tmp_path / 'a.mcap')) == ['10', '20', '30']


def test_a_recording_without_messages_has_no_topics(tmp_path):
    RecordingWriter(tmp_path / 'a.mcap').close()
    recording = Recording(tmp_path / 'a.mcap')
    assert (recording.topics(), list(recording.messages()), recording.problem) == ({}, [], '')


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        (b'', 'is empty'),
        (b'\x89', r"is no recording, it begins with b'\\x89'"),
        (b'#ROSBAG V2.0\n' + bytes(99), 'cannot be read .*: it is damaged'),
    ],
)
def test_another_file_is_refused(tmp_path, content, says):
    (tmp_path / 'a.mcap').write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        Recording(tmp_path / 'a.mcap')


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10**9))
def test_a_file_cut_anywhere_gives_its_whole_chunks_and_says_so(long_file, cut):
    content = long_file.read_bytes()
    length = 8 + cut % (len(content) - 8)
    part = long_file.with_name('part.mcap')
    part.write_bytes(content[:length])
    recording = Recording(part)
    found = words(recording)
    assert found == [f'word {number}' for number in range(len(found))]
    assert len(found) % 2 == 0
    assert sum(topic.count for topic in recording.topics().values()) == len(found)
    assert 'not finished' in recording.problem


def test_a_flushed_file_is_whole_up_to_there(tmp_path):
    writer = RecordingWriter(tmp_path / 'a.mcap')
    writer.write('/words', String(data='a'), 1)
    writer.flush()
    writer.write('/words', String(data='b'), 2)
    recording = Recording(tmp_path / 'a.mcap')
    assert words(recording) == ['a']
    assert 'was the recorder killed? The 1 complete messages are used' in recording.problem
    writer.close()


def test_damage_in_the_middle_of_a_finished_file_is_an_error_and_no_wrong_message(tmp_path):
    path = foreign(tmp_path / 'a.mcap', [(1, 'sound'), (2, 'x' * 50)], compression=CompressionType.NONE)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'x' * 50, b'y' * 50))
    with pytest.raises(PerceptionError, match=r'damaged near byte .*mcap recover'):
        words(Recording(path))


@pytest.mark.parametrize('options', [{'use_chunking': False}, {'use_statistics': False}, {'chunk_size': 1}, {}])
def test_files_of_other_writers_are_read(tmp_path, options):
    given = [(1, 'a'), (2, 'b'), (3, 'c')]
    recording = Recording(foreign(tmp_path / 'a.mcap', given, **options))
    assert words(recording) == ['a', 'b', 'c']
    assert recording.topics()['/words'].count == 3
    assert recording.problem == ''
    assert (recording.first_ns, recording.last_ns) == (1, 3)


def test_the_qos_of_ros2_bag_is_read(tmp_path):
    text = '- history: keep_last\n  depth: 1\n  reliability: best_effort\n  durability: transient_local\n'
    recording = Recording(foreign(tmp_path / 'a.mcap', [(1, 'a')], metadata={'offered_qos_profiles': text}))
    [qos] = recording.topics()['/words'].qos
    assert (qos.reliability, qos.durability) == (QoSReliabilityPolicy.BEST_EFFORT, QoSDurabilityPolicy.TRANSIENT_LOCAL)


def test_the_folder_of_a_bag_is_taken_for_its_file(tmp_path):
    bag = tmp_path / 'bag'
    bag.mkdir()
    (bag / 'metadata.yaml').write_text('')
    with pytest.raises(ConfigError, match='no recording in it'):
        Recording(bag)
    foreign(bag / 'bag_0.mcap', [(1, 'a')])
    assert words(Recording(bag)) == ['a']
    foreign(bag / 'bag_1.mcap', [(1, 'a')])
    with pytest.raises(ConfigError, match=r'name one: bag_0\.mcap, bag_1\.mcap'):
        Recording(bag)


@pytest.mark.parametrize(('name', 'says'), [('a.db3', 'is no recording'), ('a.mcap.zstd', 'zstd -d')])
def test_other_kinds_of_bags_are_named(tmp_path, name, says):
    (tmp_path / name).write_bytes(b'x')
    with pytest.raises(ConfigError, match=says):
        Recording(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='no such file; give an MCAP file, an SQLite bag'):
        Recording(tmp_path / 'none.mcap')


def test_a_topic_in_another_encoding_is_set_aside(tmp_path):
    recording = Recording(foreign(tmp_path / 'a.mcap', [(1, 'a')], encoding='json'))
    assert recording.topics() == {}
    assert recording.unusable == {'/words': 'its messages are json, expected cdr'}


def test_a_type_that_is_not_installed_can_be_read_but_not_decoded(tmp_path):
    recording = Recording(foreign(tmp_path / 'a.mcap', [(1, 'a')], type_name='wing_msgs/Flap'))
    [item] = recording.messages()
    assert item.type_name == 'wing_msgs/msg/Flap'
    assert item.data == serialize_message(String(data='a'))
    with pytest.raises(UnknownTypeError, match='wing_msgs is not installed'):
        print(item.message)


def test_a_type_with_other_fields_than_the_installed_one_is_told(tmp_path):
    recording = Recording(foreign(tmp_path / 'a.mcap', [(1, 'a')], text='float64 x\n'))
    assert recording.mismatch('/words') == (
        'std_msgs/String was recorded as (float64 x), but (string data) is installed'
    )


def test_bytes_that_are_no_message_are_one_bad_frame(tmp_path):
    with RecordingWriter(tmp_path / 'a.mcap') as writer:
        writer.write_raw('/words', STRING, b'\x00\x01\x00\x00\xff\xff\xff\x7f', 5, 5)
        writer.write('/words', String(data='good'), 6)
    bad, good = Recording(tmp_path / 'a.mcap').messages()
    with pytest.raises(FrameError, match=r'/words at 5 ns: 8 bytes are not a std_msgs/msg/String') as caught:
        print(bad.message)
    assert caught.value.reason == 'undecodable_message'
    assert good.message.data == 'good'
