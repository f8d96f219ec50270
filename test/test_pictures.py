# SPDX-License-Identifier: Apache-2.0
"""Pictures from folders, files, videos and cameras, and what is said where there are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.pictures import FrameSource


def gray(level, size=(8, 6)):
    """A (height, width, 3) picture of one brightness."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def write(path, level=0):
    assert cv2.imwrite(str(path), gray(level))
    return path


def names(source):
    return [frame.name for frame in source]


@pytest.fixture
def video(tmp_path):
    """Five frames, ever brighter."""
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (64, 48))
    for level in range(0, 250, 50):
        writer.write(gray(level, (64, 48)))
    writer.release()
    return path


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    for name, level in (('b.png', 20), ('a.png', 10), ('C.PNG', 0), ('d.bmp', 30)):
        write(tmp_path / name, level)
    (tmp_path / 'notes.txt').write_text('no picture')
    source = FrameSource(str(tmp_path))
    assert names(source) == ['C.PNG', 'a.png', 'b.png', 'd.bmp']
    assert [int(frame.image[0, 0, 0]) for frame in source] == [0, 10, 20, 30]
    assert len(source) == 4
    assert not source.is_live


def test_every_pass_begins_at_the_first_picture(tmp_path):
    write(tmp_path / 'a.png')
    write(tmp_path / 'b.png')
    source = FrameSource(str(tmp_path))
    assert names(source) == names(source) == ['a.png', 'b.png']


def test_a_picture_is_bgr_even_when_the_file_is_gray(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((6, 8), 7, np.uint8))
    [frame] = FrameSource(str(tmp_path))
    assert frame.image.shape == (6, 8, 3)
    assert frame.image.dtype == np.uint8
    assert (frame.image == 7).all()


def test_a_damaged_picture_comes_as_an_error_and_the_pass_goes_on(tmp_path):
    write(tmp_path / 'a.png', 1)
    (tmp_path / 'b.png').write_bytes((tmp_path / 'a.png').read_bytes()[:20])
    (tmp_path / 'c.png').write_bytes(b'')
    write(tmp_path / 'd.png', 4)
    first, damaged, empty, last = FrameSource(str(tmp_path))
    assert (first.name, last.name) == ('a.png', 'd.png')
    assert isinstance(damaged, FrameError)
    assert damaged.reason == empty.reason == 'unreadable_image'
    assert 'b.png: OpenCV cannot read it; is the file damaged?' in str(damaged)


def test_one_picture_is_a_source(tmp_path):
    source = FrameSource(str(write(tmp_path / 'a.png', 5)))
    assert names(source) == ['a.png']
    assert len(source) == 1


def test_the_home_folder_may_be_abbreviated(tmp_path, monkeypatch, video):
    monkeypatch.setenv('HOME', str(tmp_path))
    write(tmp_path / 'a.png')
    assert names(FrameSource('~/a.png')) == ['a.png']
    assert names(FrameSource('~')) == ['a.png']
    assert names(FrameSource('~/clip.avi')) == [0, 1, 2, 3, 4]
    assert len(FrameSource('~/clip.avi')) == 5


@pytest.mark.parametrize('files', [[], ['notes.txt', 'model.onnx']])
def test_a_folder_without_pictures_is_an_error(tmp_path, files):
    for name in files:
        (tmp_path / name).write_text('')
    with pytest.raises(ConfigError, match=r'no image in this folder, expected files ending in \.bmp, \.jpeg'):
        FrameSource(str(tmp_path))


@pytest.mark.parametrize('name', ['missing.png', 'missing', 'missing.mp4', '-1', ''])
def test_a_missing_file_is_an_error(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if name == '':
        (tmp_path / 'x').mkdir()
        monkeypatch.chdir(tmp_path / 'x')
    with pytest.raises(ConfigError, match='no such file or folder|no image in this folder'):
        FrameSource(name)


def test_a_video_is_read_frame_by_frame(video):
    source = FrameSource(str(video))
    frames = list(source)
    assert [frame.name for frame in frames] == [0, 1, 2, 3, 4]
    assert len(source) == 5
    assert not source.is_live
    assert [round(float(frame.image.mean()) / 50) for frame in frames] == [0, 1, 2, 3, 4]
    assert names(source) == [0, 1, 2, 3, 4], 'the second pass begins anew'


def test_a_file_that_is_no_video_is_an_error_when_it_is_read(tmp_path):
    path = tmp_path / 'clip.mp4'
    path.write_text('this is no video')
    with pytest.raises(ConfigError, match='OpenCV cannot open this video; check that it exists'):
        next(iter(FrameSource(str(path))))


def test_a_camera_that_is_not_there_is_an_error_when_it_is_read():
    source = FrameSource('97')
    assert source.is_live
    assert len(source) == 0
    with pytest.raises(ConfigError, match="source '97': OpenCV cannot open this camera"):
        next(iter(source))


class FakeCapture:
    """A camera with two pictures, then none."""

    def __init__(self, index):
        self.index, self.left, self.released = index, 2, False
        FakeCapture.last = self

    def isOpened(self):
        return True

    def read(self):
        self.left -= 1
        return (self.left >= 0, gray(self.left) if self.left >= 0 else None)

    def release(self):
        self.released = True


def test_a_camera_that_stops_is_an_error_after_its_last_picture(monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', FakeCapture)
    frames = iter(FrameSource('3'))
    assert [next(frames).name, next(frames).name] == [0, 1]
    assert FakeCapture.last.index == 3
    with pytest.raises(ConfigError, match="source '3': the camera stopped after 2 pictures"):
        next(frames)
    assert FakeCapture.last.released


def test_a_camera_is_released_when_the_reader_leaves(monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', FakeCapture)
    frames = iter(FrameSource('0'))
    next(frames)
    frames.close()
    assert FakeCapture.last.released
