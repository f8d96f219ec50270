# SPDX-License-Identifier: Apache-2.0
"""Writing recordings, read back by the libraries of others."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Empty, Header, String
from vision_msgs.msg import Detection2D, Detection2DArray, LabelInfo, ObjectHypothesisWithPose, VisionClass

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording import COMPRESSIONS, Recording, RecordingWriter


def decoded(path):
    """(topic, log time, message) as an independent decoder understands the file by its own schemas."""
    with open(path, 'rb') as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        return [
            (item.channel.topic, item.message.log_time, item.decoded_message) for item in reader.iter_decoded_messages()
        ]


def plain(value):
    """A message of either library as nested dicts and lists."""
    if isinstance(value, SimpleNamespace) or (hasattr(value, '__slots__') and type(value).__module__ not in ('array',)):
        names = value.get_fields_and_field_types() if hasattr(value, 'get_fields_and_field_types') else None
        names = names or list(getattr(value, '__slots__', None) or vars(value))
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    return [plain(item) for item in value] if hasattr(value, '__len__') and not isinstance(value, str) else value


def samples():
    """Messages with arrays, bounded and nested fields, default values and none at all."""
    header = Header(frame_id='lens')
    header.stamp.sec, header.stamp.nanosec = 5, 7
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = 'cup', 0.75
    hypothesis.pose.covariance = np.arange(36.0)
    return [
        Detection2DArray(header=header, detections=[Detection2D(header=header, results=[hypothesis] * 2, id='3')] * 2),
        CameraInfo(header=header, width=640, d=[0.5, 0.25], k=np.arange(9.0)),
        LabelInfo(header=header, class_map=[VisionClass(class_id=4, class_name='can')], threshold=0.5),
        PointCloud2(header=header, height=1, width=2, data=b'12345678'),
        String(data='ä'),
    ]


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_another_decoder_reads_the_same_from_the_schemas_in_the_file(tmp_path, compression):
    given = samples()
    with RecordingWriter(tmp_path / 'a.mcap', compression=compression) as writer:
        for number, message in enumerate(given):
            writer.write(f'/topic_{number}', message, 100 + number)
    found = decoded(tmp_path / 'a.mcap')
    assert [(topic, time_ns) for topic, time_ns, _ in found] == [(f'/topic_{n}', 100 + n) for n in range(len(given))]
    for message, (_, _, other) in zip(given, found, strict=True):
        assert plain(other) == plain(message)


def test_a_message_without_fields_is_written(tmp_path):
    with RecordingWriter(tmp_path / 'a.mcap') as writer:
        writer.write('/go', Empty(), 1)
    [item] = Recording(tmp_path / 'a.mcap').messages()
    assert item.message == Empty()


def test_ros2_bag_finds_what_it_looks_for(tmp_path):
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    with RecordingWriter(tmp_path / 'a.mcap') as writer:
        writer.write('/words', String(data='a'), 7_000, 6_000, qos=[latched])
        writer.write('/words', String(data='b'), 9_000)
    with open(tmp_path / 'a.mcap', 'rb') as file:
        reader = make_reader(file)
        assert reader.get_header().profile == 'ros2'
        summary = reader.get_summary()
        [channel], [schema] = summary.channels.values(), summary.schemas.values()
        assert (channel.message_encoding, schema.name, schema.encoding) == ('cdr', 'std_msgs/msg/String', 'ros2msg')
        [profile] = yaml.safe_load(channel.metadata['offered_qos_profiles'])
        assert (profile['durability'], profile['reliability'], profile['depth']) == (1, 1, 1)
        [record] = reader.iter_metadata()
        bag = yaml.safe_load(record.metadata['serialized_metadata'])
        assert record.name == 'rosbag2'
        assert (bag['message_count'], bag['relative_file_paths']) == (2, ['a.mcap'])
        assert (bag['starting_time']['nanoseconds_since_epoch'], bag['duration']['nanoseconds']) == (7_000, 2_000)
        assert [item[2].publish_time for item in reader.iter_messages()] == [6_000, 9_000]


def test_a_file_is_not_replaced_unless_asked_for(tmp_path):
    path = tmp_path / 'a.mcap'
    path.write_text('precious')
    with pytest.raises(ConfigError, match=r'a\.mcap already exists; .*--force'):
        RecordingWriter(path)
    assert path.read_text() == 'precious'
    RecordingWriter(path, force=True).close()
    assert Recording(path).topics() == {}


def test_the_folder_is_made_and_a_path_that_cannot_be_is_refused(tmp_path):
    RecordingWriter(tmp_path / 'x' / 'y' / 'a.mcap').close()
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='cannot be written .* choose another one with --output'):
        RecordingWriter(tmp_path / 'file' / 'a.mcap')
    with pytest.raises(ConfigError, match='that is a folder: give a file in it'):
        RecordingWriter(tmp_path / 'x', force=True)


def test_a_full_disk_is_one_error_that_says_what_to_do():
    with pytest.raises(PerceptionError, match=r'/dev/full cannot be written .*: the disk is full: free some space'):
        RecordingWriter('/dev/full', force=True)


def test_after_a_failure_the_file_keeps_what_it_has_and_closing_is_safe(tmp_path, small_disk):
    path = tmp_path / 'a.mcap'
    with RecordingWriter(path, compression='none') as writer:
        writer.write('/words', String(data='a'), 1)
        writer.flush()
        with pytest.raises(PerceptionError, match='the file has reached the size .*--max-size'):
            writer.write('/words', String(data='b' * 3_000_000), 2)  # more than a chunk, so it goes to the file at once
        with pytest.raises(PerceptionError, match='is closed'):
            writer.write('/words', String(data='c'), 3)
    assert [item.message.data for item in Recording(path).messages()] == ['a']


def test_a_topic_keeps_its_type(tmp_path):
    with RecordingWriter(tmp_path / 'a.mcap') as writer:
        writer.write('/words', String(data='a'), 1)
        with pytest.raises(ConfigError, match=r'/words: recorded as std_msgs/msg/String, got std_msgs/msg/Empty'):
            writer.write('/words', Empty(), 2)
        writer.write('/words', String(data='c'), 3)
    assert [item.message.data for item in Recording(tmp_path / 'a.mcap').messages()] == ['a', 'c']


@pytest.mark.parametrize('module', ['mcap.writer', 'mcap'])
def test_without_the_library_it_is_named(tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, 'mcap.writer', raising=False) if module == 'mcap' else None
    with pytest.raises(ConfigError, match='pip install mcap'):
        RecordingWriter(tmp_path / 'a.mcap')
    assert not (tmp_path / 'a.mcap').exists()


def test_a_missing_compression_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr('mcap.writer.zstandard', None)
    with pytest.raises(ConfigError, match='pip install zstandard'):
        RecordingWriter(tmp_path / 'a.mcap')
    assert not (tmp_path / 'a.mcap').exists()
    with pytest.raises(ConfigError, match='expected one of zstd, lz4, none'):
        RecordingWriter(tmp_path / 'a.mcap', compression='zip')
