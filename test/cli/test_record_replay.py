# SPDX-License-Identifier: Apache-2.0
"""isaac-inference record and replay, and run on a recording."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String
from support.onnx_models import WH, ultralytics_metadata, write_model
from support.ros.bags import write_db3, write_ros1, write_rosbag2
from support.ros.probe import image_message
from support.waiting import LIMIT_S, wait_until

from isaac_inference.cli import record
from isaac_inference.cli.main import main
from isaac_inference.errors import ConfigError
from isaac_inference.pictures import DamagedPictureError, FrameSource
from isaac_inference.ros.recording import Player, Recorder, Recording, RecordingWriter
from isaac_inference.ros.recording.picture_source import RecordedSource, picture_source
from isaac_inference.ros.runtime.container.spin import SpinThread

RELIABLE = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE)
SECOND = 1_000_000_000


def recording(path, *messages, force=False):
    """A file of (topic, message), a second apart."""
    with RecordingWriter(path, force=force) as writer:
        for number, (topic, message) in enumerate(messages, 1):
            writer.write(topic, message, number * SECOND)
    return str(path)


def picture(level, second, nanosecond=0, **options):
    header = Header()
    header.stamp.sec, header.stamp.nanosec = second, nanosecond
    return image_message(np.full((2 * WH[1], 2 * WH[0], 3), level, np.uint8), header=header, **options)


def said(capsys):
    captured = capsys.readouterr()
    return ' '.join((captured.out + captured.err).split())


@contextlib.contextmanager
def talking(topic, message, period_s=0.01):
    """Keeps publishing; yields the node's publisher."""
    context = Context()
    rclpy.init(context=context)
    node = Node('talker', context=context)
    publisher = node.create_publisher(type(message), topic, RELIABLE)
    node.create_timer(period_s, lambda: publisher.publish(message))
    spin = SpinThread(node)
    try:
        yield publisher
    finally:
        spin.stop()
        context.shutdown()


def start_recording(folder, *arguments):
    program = [sys.executable, '-m', 'isaac_inference.cli.main', 'record', '--output', 'run.mcap', *arguments]
    return subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.system
def test_ctrl_c_ends_with_a_table_and_a_finished_file(tmp_path):
    with talking('/words_of_one', String(data='hello')):
        process = start_recording(tmp_path, '--topics', '/words_of_one', '/silence')
        wait_until(lambda: (tmp_path / 'run.mcap').exists() and size(tmp_path) > 100)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert 'Traceback' not in err
    assert 'no messages on /silence; does the topic exist' in err
    assert 'std_msgs/msg/String' in out and 'interrupted' in out
    found = Recording(tmp_path / 'run.mcap')
    assert found.problem == ''
    assert f'│ {found.topics()["/words_of_one"].count} ' in out
    assert {item.message.data for item in found.messages()} == {'hello'}


@pytest.mark.system
def test_a_killed_recorder_leaves_what_it_has_flushed(tmp_path):
    with talking('/words_of_two', String(data='hello')):
        process = start_recording(tmp_path, '--topics', '/words_of_two')
        wait_until(lambda: (tmp_path / 'run.mcap').exists() and size(tmp_path) > 100)
        process.kill()
        process.communicate()
    found = Recording(tmp_path / 'run.mcap')
    assert 'was the recorder killed?' in found.problem
    assert found.topics()['/words_of_two'].count == len(list(found.messages())) > 0


def size(folder):
    return (folder / 'run.mcap').stat().st_size


@pytest.mark.system
@pytest.mark.parametrize(
    ('limit', 'reason'),
    [(['--duration', '1'], 'the requested duration has passed'), (['--max-size', '1'], 'the requested size was')],
)
def test_a_limit_ends_the_recording(tmp_path, capsys, monkeypatch, limit, reason):
    """The second is over when the first message has come, however long that takes."""
    heard, receive = threading.Event(), Recorder._receive

    def note(recorder, *given):
        receive(recorder, *given)
        heard.set()

    monkeypatch.setattr(Recorder, '_receive', note)
    monkeypatch.setattr(record, 'time', SimpleNamespace(monotonic=lambda: 1.5 if heard.is_set() else 0.0))
    path = str(tmp_path / 'run.mcap')
    message = Image(height=300, width=1000, step=1000, encoding='mono8')
    message.data = np.random.default_rng(0).integers(0, 255, 300_000, np.uint8).tobytes()
    with talking('/camera_of_three/image', message, 0.02):
        assert main(['record', '--output', path, '--namespace', 'camera_of_three', *limit]) == 0
    assert reason in said(capsys)
    assert set(Recording(path).topics()) == {'/camera_of_three/image'}


def test_nothing_recorded_is_a_failure(tmp_path, capsys):
    path = str(tmp_path / 'run.mcap')
    assert main(['record', '--output', path, '--topics', '/nobody', '--duration', '0.2']) == 1
    assert 'no message was recorded' in said(capsys)
    assert Recording(path).topics() == {}


def test_an_existing_file_is_kept_and_bad_values_are_refused(tmp_path, capsys):
    path = recording(tmp_path / 'run.mcap', ('/words', String(data='precious')))
    for arguments, says in (
        (['--output', path], 'already exists'),
        (['--output', path, '--exclude', '('], 'not a regular expression'),
        (['--output', path, '--duration', '-1'], '--duration: got -1.0'),
        (['--output', path, '--max-size', 'nan'], '--max-size: got nan'),
        (['--output', 'run.bag'], '--output run.bag: recordings are MCAP files'),
    ):
        assert main(['record', *arguments]) == 1
        assert says in said(capsys)
    assert [item.message.data for item in Recording(path).messages()] == ['precious']


@pytest.mark.system
@pytest.mark.parametrize('name', ['run.mcap', 'run.db3', 'run.bag'])
def test_replay_prints_what_it_played(tmp_path, capsys, name):
    spoken = ('/words_of_four', String(data='a')), ('/other', String(data='b'))
    if name == 'run.mcap':
        path = recording(tmp_path / name, *spoken)
    else:
        write = write_db3 if name == 'run.db3' else write_ros1
        path = str(write(tmp_path / name, [(*item, SECOND) for item in spoken]))
    context, heard = Context(), []
    rclpy.init(context=context)
    spin = SpinThread(Node('listener', context=context))
    spin.node.create_subscription(String, '/spoken', lambda message: heard.append(message.data), RELIABLE)
    arguments = [
        '--topics',
        '/words_of_four',
        '--remap',
        '/words_of_four:=/spoken',
        '--rate',
        '0',
        '--wait',
        str(LIMIT_S),
    ]
    assert main(['replay', path, *arguments, '--exact']) == 0
    wait_until(lambda: heard == ['a'])
    spin.stop()
    context.shutdown()
    assert '/words_of_four as /spoken │ std_msgs/msg/String │ 1 │ reliable' in said(capsys)


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['nowhere.mcap'], 'nowhere.mcap: no such file'),
        (['{file}', '--topics', '/nose'], 'no topic /nose to play'),
        (['{file}', '--rate', '-2'], 'rate -2.0'),
        (['{file}', '--remap', '/words'], 'expected recorded_name:=published_name'),
        (['{file}', '--remap', '/words:=/a b'], '--remap /words:=/a b:'),
    ],
)
def test_a_replay_that_makes_no_sense_is_one_error(tmp_path, capsys, arguments, says):
    path = recording(tmp_path / 'run.mcap', ('/words', String(data='a')))
    assert main(['replay', *(item.format(file=path) for item in arguments)]) == 1
    err = capsys.readouterr().err
    assert err.startswith('error: ') and says in err


def test_a_replay_of_what_is_left_of_a_file_says_so(tmp_path, capsys):
    writer = RecordingWriter(tmp_path / 'run.mcap')
    writer.write('/words', String(data='a'), 1)
    writer.flush()
    assert main(['replay', str(tmp_path / 'run.mcap'), '--wait', '0']) == 0
    assert 'was the recorder killed?' in said(capsys)
    writer.close()


def test_an_interrupted_replay_ends_cleanly(tmp_path, capsys, monkeypatch):
    words = [('/words', String(data='a')) for _ in range(100)]
    path = recording(tmp_path / 'run.mcap', *words)
    before, send, sent = signal.getsignal(signal.SIGINT), Player._send, []

    def send_and_interrupt(player, *given):
        send(player, *given)
        sent.append(given)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Player, '_send', send_and_interrupt)
    assert main(['replay', path, '--wait', '0']) == 0
    assert len(sent) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert 'replayed' in said(capsys)


# run --source


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A model, and a recording of a white, an undecodable and a black picture, and of other topics."""
    made = tmp_path_factory.mktemp('run')
    write_model(made / 'cups.onnx', 'yolov8', metadata=ultralytics_metadata(['cup', 'can', 'box']))
    depth = image_message(np.zeros((4, 4), np.uint16), encoding='16UC1')
    recording(
        made / 'run.mcap',
        ('/depth', depth),
        ('/image', picture(255, 100, 7)),
        ('/words', String(data='a')),
        ('/image', picture(255, 101, encoding='odd')),
        ('/image', picture(0, 102)),
    )
    return made


@pytest.mark.system
def test_two_runs_on_a_recording_find_exactly_the_same(folder):
    runs = []
    for _ in range(2):
        command = ['run', '--model', 'cups.onnx', '--source', 'run.mcap', '--json', '-']
        done = subprocess.run(
            [sys.executable, '-m', 'isaac_inference.cli.main', *command],
            cwd=folder, capture_output=True, text=True, timeout=LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 1, 'one picture cannot be used'
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        runs.append([{key: line[key] for key in ('image', 'detections', 'width', 'height')} for line in lines])
    assert runs[0] == runs[1]
    assert [line['image'] for line in runs[0]] == ['100000000007.jpg', '101000000000.jpg', '102000000000.jpg']
    assert [line['detections'] is not None and len(line['detections']) for line in runs[0]] == [3, False, 0]


def test_pictures_of_a_recording(folder):
    source = picture_source(str(folder / 'run.mcap'))
    assert isinstance(source, RecordedSource)
    assert (source.topic, len(source), source.is_live) == ('/image', 3, False)
    for _ in range(2):
        white, odd, black = source
        assert (white.image == 255).all() and (black.image == 0).all()
        assert isinstance(odd, DamagedPictureError)
        assert odd.name == '101000000000.jpg'
        assert "/image, 101000000000.jpg: image encoding 'odd'" in str(odd)


@pytest.mark.parametrize('write', [write_db3, write_ros1, write_rosbag2], ids=['a.db3', 'a.bag', 'bag'])
def test_pictures_of_recordings_of_others(tmp_path, request, write):
    items = [('/image', picture(level, second), second * SECOND) for second, level in enumerate((0, 90, 255), 1)]
    source = picture_source(str(write(tmp_path / request.node.callspec.id, items)))
    assert (source.topic, len(source)) == ('/image', 3)
    assert [(frame.image.max(), frame.name) for frame in source] == [
        (level, f'{second * SECOND}.jpg') for second, level in enumerate((0, 90, 255), 1)
    ]


def test_channels_are_brought_into_order_and_missing_stamps_replaced(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 200
    message = image_message(red, encoding='rgb8', header=Header())
    [frame] = picture_source(recording(tmp_path / 'a.mcap', ('/image', message)))
    assert (frame.image == red[:, :, ::-1]).all()
    assert frame.name == f'{SECOND}.jpg'
    [first, second] = picture_source(
        recording(tmp_path / 'b.mcap', ('/image', picture(1, 5)), ('/image', picture(2, 5)))
    )
    assert (first.name, second.name) == (f'{5 * SECOND}.jpg', f'{2 * SECOND}.jpg')


def test_compressed_pictures_are_read(tmp_path):
    message = CompressedImage(format='bgr8; png compressed bgr8')
    message.data = cv2.imencode('.png', np.full((6, 8, 3), 90, np.uint8))[1].tobytes()
    path = recording(
        tmp_path / 'a.mcap',
        ('/image/compressed', message),
        ('/image/compressed', CompressedImage(data=b'no picture')),
        ('/depth/compressed', CompressedImage(format='16UC1; compressedDepth png')),
    )
    frame, damaged = picture_source(path)
    assert frame.image.shape == (6, 8, 3) and (frame.image == 90).all()
    assert damaged.reason == 'unreadable_image'


def test_bits_in_the_low_end_and_exchanged_channels_are_read_as_the_nodes_do(tmp_path):
    grey = np.arange(0, 4096, 16, np.uint16).reshape(16, 16) + 3
    path = recording(tmp_path / 'a.mcap', ('/image', image_message(grey, encoding='mono16')))
    [frame] = picture_source(path)
    assert (frame.image == (grey >> 4)[..., None]).all(), '12 bits'
    red = np.full((6, 8, 3), (200, 20, 10), np.uint8)
    message = CompressedImage(format='rgb8; png compressed rgb8', data=cv2.imencode('.png', red)[1].tobytes())
    [frame] = picture_source(recording(tmp_path / 'b.mcap', ('/image/compressed', message)))
    assert (frame.image == red[..., ::-1]).all()


def test_which_of_several_image_topics_must_be_said(tmp_path):
    path = recording(
        tmp_path / 'a.mcap', ('/left', picture(1, 1)), ('/right', picture(2, 1)), ('/right', picture(2, 2))
    )
    with pytest.raises(
        ConfigError, match=r'several image topics, choose one with --image-topic; .*/left \(1\), /right \(2\)'
    ):
        picture_source(path)
    assert len(picture_source(path, 'right')) == 2
    with pytest.raises(
        ConfigError, match=r'--image-topic /nose: not in .*; its image topics: /left \(1\), /right \(2\)'
    ):
        picture_source(path, '/nose')


def test_depth_is_refused_frame_by_frame_when_it_is_asked_for(folder):
    [frame] = picture_source(str(folder / 'run.mcap'), '/depth')
    assert 'holds depth, expected colour' in str(frame)


def test_sources_without_a_picture_topic_are_refused(tmp_path):
    path = recording(tmp_path / 'a.mcap', ('/words', String(data='a')))
    with pytest.raises(ConfigError, match='no image topic in this recording, it has /words'):
        picture_source(path)
    with pytest.raises(ConfigError, match='no such file; give an MCAP file'):
        picture_source(str(tmp_path / 'none.mcap'))
    with pytest.raises(ConfigError, match='--image-topic /image: only for a recording'):
        picture_source('0', '/image')


def test_folders_of_bags_and_of_pictures_are_told_apart(tmp_path, capsys):
    recording(tmp_path / 'a.mcap', ('/image', picture(1, 1)))
    assert isinstance(picture_source(str(tmp_path)), RecordedSource)
    content = (tmp_path / 'a.mcap').read_bytes()
    (tmp_path / 'a.mcap').write_bytes(content[:-20])
    assert len(picture_source(str(tmp_path))) == 1
    assert 'was the recorder killed?' in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4, 3), np.uint8))
    assert type(picture_source(str(tmp_path))) is FrameSource
