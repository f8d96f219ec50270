# SPDX-License-Identifier: Apache-2.0
"""Recordings of every format give the same messages; what cannot be read is named."""

from __future__ import annotations

import struct

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import QoSDurabilityPolicy
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header, String
from support.ros.bags import write_db3, write_metadata, write_ros1, write_ros1_mcap, write_rosbag2
from support.ros.probe import image_message
from tf2_msgs.msg import TFMessage

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording import Recording, RecordingWriter

S = 1_000_000_000


def some_messages():
    """(topic, message, log time) of five types with headers, names and arrays of every kind."""
    header = Header(frame_id='lens')
    header.stamp.sec, header.stamp.nanosec = 1_700_000_000, 123_456_789
    info = CameraInfo(header=header, width=64, height=48, distortion_model='plumb_bob', d=[0.1, 0.2, 0.3, 0.4, 0.5])
    info.k[0], info.k[4], info.k[8], info.binning_x, info.roi.do_rectify = 50.0, 50.0, 1.0, 2, True
    transform = TransformStamped(header=header, child_frame_id='cup')
    transform.transform.rotation.w = 1.0
    items = (
        ('/camera/camera_info', info),
        ('/camera/image_raw', image_message()),
        ('/camera/image_raw/compressed', CompressedImage(header=header, format='jpeg', data=b'\xff\xd8\x01')),
        ('/tf', TFMessage(transforms=[transform] * 3)),
        ('/words', String(data='wörd')),
    )
    return [
        (topic, message, 1_700_000_000 * S + number * S // 100) for number, (topic, message) in enumerate(items * 2)
    ]


def in_halves(folder, write, suffix, storage):
    folder.mkdir()
    items = some_messages()
    names = [f'part {number}{suffix}' for number in (9, 10)]  # which are not sorted by their names
    for name, half in zip(names, (items[:5], items[5:]), strict=True):
        write(folder / name, half)
    write_metadata(folder, storage, *names)
    return folder


def write_mcap(path, items):
    with RecordingWriter(path) as writer:
        for topic, message, time_ns in items:
            writer.write(topic, message, time_ns)
    return path


FORMATS = {
    'mcap': lambda folder: write_mcap(folder / 'a.mcap', some_messages()),
    'mcap, split': lambda folder: in_halves(folder / 'bag', write_mcap, '.mcap', 'mcap'),
    'mcap, messages compressed': lambda folder: write_rosbag2(
        folder / 'bag', some_messages(), StoragePlugin.MCAP, CompressionMode.MESSAGE
    ),
    'sqlite, a file of Humble': lambda folder: write_db3(folder / 'a.db3', some_messages()),
    'sqlite, a file alone in a folder': lambda folder: write_db3(folder / 'a.db3', some_messages()).parent,
    'sqlite, split': lambda folder: in_halves(folder / 'bag', write_db3, '.db3', 'sqlite3'),
    'sqlite, of Jazzy': lambda folder: write_rosbag2(folder / 'bag', some_messages()),
    'sqlite, files compressed': lambda folder: write_rosbag2(
        folder / 'bag', some_messages(), mode=CompressionMode.FILE
    ),
    'sqlite, messages compressed': lambda folder: write_rosbag2(
        folder / 'bag', some_messages(), mode=CompressionMode.MESSAGE
    ),
    'ros 1': lambda folder: write_ros1(folder / 'a.bag', some_messages()),
    'ros 1, bz2': lambda folder: write_ros1(folder / 'a.bag', some_messages(), 'BZ2'),
    'ros 1, lz4': lambda folder: write_ros1(folder / 'a.bag', some_messages(), 'LZ4'),
    'ros 1, with the older name of /tf': lambda folder: write_ros1(
        folder / 'a.bag', some_messages(), renamed='tf/msg/tfMessage'
    ),
    'ros 1, under another name': lambda folder: write_ros1(folder / 'a.bag', some_messages()).rename(folder / 'a.dat'),
    'ros 1, in mcap': lambda folder: write_ros1_mcap(folder / 'a.mcap', some_messages()),
}


@pytest.mark.parametrize('made', FORMATS.values(), ids=FORMATS.keys())
def test_every_format_gives_the_same_messages(tmp_path, made, monkeypatch):
    monkeypatch.setattr('support.ros.probe._numbers', iter(range(1, 100)))
    recording = Recording(made(tmp_path))
    monkeypatch.setattr('support.ros.probe._numbers', iter(range(1, 100)))
    expected = some_messages()
    assert [(item.topic, item.message, item.log_time_ns) for item in recording.messages()] == expected
    kinds = {topic: type(message) for topic, message, _ in expected}
    for name, topic in recording.topics().items():
        assert (topic.type_name.split('/')[-1], topic.count) == (kinds[name].__name__, 2)
        assert recording.mismatch(name) == ''
    assert (recording.problem, recording.unusable) == ('', {})
    assert recording.duration_s == pytest.approx(0.09)
    one = ['/words']
    assert [item.topic for item in recording.messages(one)] == one * 2
    assert list(recording.messages([])) == []
    pairs = list(zip(recording.messages(), recording.messages(), strict=True))
    assert all(left == right for left, right in pairs), 'two iterations do not disturb one another'


@pytest.mark.parametrize(
    'made',
    [
        lambda folder, items: write_db3(folder / 'a.db3', items, latched=['/map']),
        lambda folder, items: write_ros1(folder / 'a.bag', items, latched=['/map']),
    ],
    ids=['sqlite', 'ros 1'],
)
def test_what_was_latched_is_known(tmp_path, made):
    items = [('/map', String(data='a'), S), ('/words', String(data='b'), S)]
    topics = Recording(made(tmp_path, items)).topics()
    assert [qos.durability for qos in topics['/map'].qos] == [QoSDurabilityPolicy.TRANSIENT_LOCAL]
    assert topics['/words'].qos == ()


def test_the_database_of_a_killed_recorder_is_used_and_named(tmp_path):
    path = write_db3(tmp_path / 'a.db3', some_messages())
    (tmp_path / 'a.db3-wal').write_bytes(b'x')
    recording = Recording(path)
    assert len(list(recording.messages())) == 10
    assert 'a.db3-wal is still there): was the recorder killed?' in recording.problem


def test_messages_that_are_not_cdr_are_set_aside(tmp_path):
    recording = Recording(write_db3(tmp_path / 'a.db3', [('/words', String(), S)], encoding='protobuf'))
    assert (recording.topics(), recording.unusable) == ({}, {'/words': 'its messages are protobuf, expected cdr'})


def test_a_type_of_ros_1_that_ros_2_does_not_have_is_told(tmp_path):
    path = write_ros1(tmp_path / 'a.bag', some_messages())
    path.write_bytes(path.read_bytes().replace(b'string data', b'strong data'))
    recording = Recording(path)
    assert list(recording.unusable) == ['/words']
    assert 'ROS 1 definition of std_msgs/msg/String cannot be read' in recording.unusable['/words']
    assert len(list(recording.messages())) == 8


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])
    return path


def unindexed(path):
    """As the recorder leaves it when it is killed: the index is written at the end."""
    content = bytearray(path.read_bytes())
    at = content.index(b'index_pos=') + len(b'index_pos=')
    content[at : at + 8] = struct.pack('<Q', 0)
    path.write_bytes(content)
    return path


def replaced(path, old, new):
    content = path.read_bytes()
    assert old in content and len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def no_bag(path):
    import sqlite3

    with sqlite3.connect(path) as file:
        file.execute('CREATE TABLE cups(id INTEGER)')
    file.close()
    return path


BROKEN = {
    'no index': (lambda folder: unindexed(write_ros1(folder / 'a.bag', some_messages())), ['rosbag reindex']),
    'old': (
        lambda folder: replaced(write_ros1(folder / 'a.bag', some_messages()), b'ROSBAG V2.0', b'ROSBAG V1.2'),
        ['102 is not supported', 'convert it to MCAP'],
    ),
    'other compression': (
        lambda folder: replaced(write_ros1(folder / 'a.bag', some_messages(), 'LZ4'), b'=lz4', b'=lzz'),
        ["'lzz' is not supported", 'decompress it'],
    ),
    'cut': (lambda folder: cut(write_ros1(folder / 'a.bag', some_messages()), 6000), ['cannot be read']),
    'cut database': (lambda folder: cut(write_db3(folder / 'a.db3', some_messages()), 3000), ['cannot be read']),
    'another database': (lambda folder: no_bag(folder / 'a.db3'), ['not one of rosbag2']),
    'a database by another name': (lambda folder: no_bag(folder / 'a.sqlite'), ['name it *.db3']),
    'empty': (lambda folder: cut(write_ros1(folder / 'a.bag', some_messages()), 0), ['is empty', 'a ROS 1 bag (.bag)']),
    'compressed as a whole': (
        lambda folder: next(write_rosbag2(folder / 'bag', some_messages(), mode=CompressionMode.FILE).glob('*.zstd')),
        ['compressed as a whole', 'the folder of the bag', 'zstd -d'],
    ),
}


@pytest.mark.parametrize(('made', 'says'), BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path, made, says):
    path = made(tmp_path)
    with pytest.raises(ConfigError) as caught:
        Recording(path)
    for words in (str(path), *says):
        assert words in str(caught.value)


def test_damage_in_the_middle_of_a_bag_is_an_error(tmp_path):
    path = write_ros1(tmp_path / 'a.bag', some_messages(), 'BZ2')
    content = bytearray(path.read_bytes())
    at = content.index(b'BZh')
    content[at + 30 : at + 40] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(PerceptionError, match=r'a\.bag: cannot be read'):
        list(Recording(path).messages())


def test_a_file_that_a_folder_lacks_is_named(tmp_path):
    folder = in_halves(tmp_path / 'bag', write_db3, '.db3', 'sqlite3')
    (folder / 'part 10.db3').unlink()
    with pytest.raises(ConfigError, match=r'metadata\.yaml names part 10\.db3, which is not there'):
        Recording(folder)


@pytest.mark.parametrize('kind', ['a.bag', 'a.db3'])
def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch, kind):
    write = write_ros1 if kind == 'a.bag' else write_db3
    path = write(tmp_path / kind, some_messages())
    for name in ('rosbags.rosbag1', 'rosbags.rosbag2'):
        monkeypatch.setitem(__import__('sys').modules, name, None)
    with pytest.raises(ConfigError, match='need the Python package rosbags.*pip install rosbags'):
        Recording(path)
