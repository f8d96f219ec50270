# SPDX-License-Identifier: Apache-2.0
"""The worst frames: which they are, why, and their pictures."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import Boxes, EvaluationSettings, FrameRecord, Poses
from isaac_inference.evaluation.accuracy.worst import worst_frames
from isaac_inference.evaluation.accuracy.worst_pictures import drawn_again
from isaac_inference.evaluation.worst_frames import save_worst
from isaac_inference.sim import default_camera
from isaac_inference.sim.shown import shown_frame

CAMERA = default_camera()
SEED, SCENE_FRAMES, RATE_HZ = 5, 3, 30.0
SHOWN = {'scene_frames': SCENE_FRAMES, 'rate_hz': RATE_HZ}


def perfect(index):
    """The record of a pipeline that finds everything in the simulator's frame."""
    truths = shown_frame(CAMERA, SEED, index, **SHOWN).truths
    names = tuple(item.kind.name for item in truths)
    rest = (names, np.array([item.visibility for item in truths]), tuple(str(item.instance) for item in truths))
    boxes = Boxes(np.array([item.box for item in truths], float), *rest)
    poses = Poses(np.array([t.pose.matrix() for t in truths]), np.array([t.kind.size for t in truths]), *rest)
    return FrameRecord(index, boxes, poses, boxes, poses)


def kept(objects, rows):
    """Those rows of boxes or poses."""
    values = (getattr(objects, field.name) for field in dataclasses.fields(objects) if field.name != 'masks')
    rows = list(rows)
    return type(objects)(*(v[rows] if isinstance(v, np.ndarray) else tuple(v[row] for row in rows) for v in values))


def clear(record, count):
    """Rows of the `count` best seen objects."""
    return np.argsort(-record.truth_poses.scores, kind='stable')[:count].tolist()


@pytest.fixture(scope='module')
def records():
    """Nothing lost; one object without a pose; one not detected and one 0.2 m too far away; no answer."""
    whole, no_pose, two, silent = (perfect(index) for index in range(4))
    (lost,) = clear(no_pose, 1)
    others = [row for row in range(len(no_pose.poses)) if row != lost]
    no_pose = dataclasses.replace(no_pose, poses=kept(no_pose.poses, others))
    gone, far = clear(two, 2)
    others = [row for row in range(len(two.poses)) if row != gone]
    moved = two.poses.poses.copy()
    moved[far, 2, 3] += 0.05
    poses = dataclasses.replace(two.poses, poses=moved)
    two = dataclasses.replace(two, boxes=kept(two.boxes, others), poses=kept(poses, others))
    silent = dataclasses.replace(silent, boxes=Boxes.empty(), poses=Poses.empty(), answered=False)
    return [whole, no_pose, two, silent]


def test_the_worst_come_first_with_their_causes(records):
    frames = worst_frames(records, {}, EvaluationSettings(), 9)
    assert [frame.number for frame in frames] == [2, 1]
    assert list(frames[1].causes.values()) == ['no pose']
    gone, far = clear(perfect(2), 2)
    diameter = float(np.linalg.norm(records[2].truth_poses.sizes[far]))
    assert frames[0].causes == {gone: 'not detected', far: f'off by {0.05 / diameter:.2f} d'}
    assert frames[0].loss > frames[1].loss


def test_the_reason_why_there_is_no_pose_is_told_where_it_is_known(records):
    (lost,) = clear(perfect(1), 1)
    boxes = records[1].boxes
    others = {identity: 'not_this_one' for identity in boxes.ids if identity != boxes.ids[lost]}
    for left_out, cause in (({boxes.ids[lost]: 'few_points', **others}, 'no pose, few_points'), (others, 'no pose')):
        record = dataclasses.replace(records[1], left_out=left_out)
        (frame,) = worst_frames([record], {}, EvaluationSettings(), 1)
        assert frame.causes == {lost: cause}


def test_no_more_than_asked_for(records):
    assert [frame.number for frame in worst_frames(records, {}, EvaluationSettings(), 1)] == [2]


def test_pictures_are_of_the_frames_and_say_which(records, tmp_path):
    frames = worst_frames(records, {}, EvaluationSettings(), 9)
    made = save_worst(drawn_again(SEED, frames, CAMERA, first=0, **SHOWN), tmp_path / 'worst', 2)
    assert [path.name for path in made] == ['01_seed_5_frame_0002.png', '02_seed_5_frame_0001.png']
    picture, plain = cv2.imread(str(made[0])), shown_frame(CAMERA, SEED, 2, **SHOWN).color
    changed = (picture != plain).any(axis=2).mean()
    assert 0.005 < changed < 0.3, 'outlines and captions on the frame itself'
    assert (picture == (60, 60, 255)).all(axis=2).any(), 'the found poses'


def test_frames_of_another_simulator_are_refused(records, tmp_path):
    frames = worst_frames(records, {}, EvaluationSettings(), 9)
    with pytest.raises(ConfigError, match=r'frame 3 of seed 5 cannot be drawn again.*sim_camera'):
        save_worst(drawn_again(SEED, frames, CAMERA, first=1, **SHOWN), tmp_path, 1)
