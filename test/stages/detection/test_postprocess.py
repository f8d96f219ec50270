# SPDX-License-Identifier: Apache-2.0
"""From a model's outputs to detections in source pixels: filters, thresholds, NMS, missing tensors."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from support.cards import with_detection
from support.onnx_models import (
    KINDS,
    WH,
    known_angle,
    known_detections,
    known_keypoints,
    ultralytics_metadata,
    write_model,
)

from isaac_inference.engines import create_engine
from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import read_card
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages import Postprocessor, Preprocessor, detection_settings

NAMES = ['cup', 'can', 'hot dog']
HERE = Letterbox.between(WH, WH)  # the image is the input


def boxes(*rows):
    """Output of an end-to-end model: rows of x0, y0, x1, y1, score, class."""
    filled = np.zeros((1, 30, 6), np.float32)
    filled[0, : len(rows)] = rows
    return {'output0': filled}


@pytest.fixture(scope='module')
def card(tmp_path_factory):
    """A model that gives finished boxes, three classes."""
    path = tmp_path_factory.mktemp('model') / 'm.onnx'
    return read_card(write_model(path, 'end_to_end', metadata=ultralytics_metadata(NAMES)))


@pytest.fixture(scope='module')
def raw_card(tmp_path_factory):
    """A model whose boxes need NMS, three classes."""
    path = tmp_path_factory.mktemp('model') / 'raw.onnx'
    return read_card(write_model(path, 'yolov8', metadata=ultralytics_metadata(NAMES)))


def raw_boxes(*rows):
    """Output of a model whose boxes need NMS: rows of centre x, y, width, height and one score a class."""
    filled = np.zeros((1, 7, 126), np.float32)
    filled[0, :, : len(rows)] = np.transpose(rows)
    return {'output0': filled}


def found(card, outputs, letterbox=HERE, **settings):
    """(class name, score) of what is kept."""
    detections = Postprocessor(card, detection_settings(card, **settings))(outputs, letterbox)
    return [
        (card.labels[index], round(float(score), 3))
        for index, score in zip(detections.class_ids, detections.scores, strict=True)
    ]


THREE = boxes((0, 0, 10, 10, 0.5, 0), (20, 0, 30, 10, 0.9, 1), (40, 0, 50, 10, 0.3, 2))


def test_the_best_come_first(card):
    assert found(card, THREE) == [('can', 0.9), ('cup', 0.5), ('hot dog', 0.3)]


@pytest.mark.parametrize(
    ('settings', 'kept'),
    [
        ({'score_threshold': 0.0}, 30),  # the padding rows have score 0 and class 0
        ({'score_threshold': 0.3}, 3),
        ({'score_threshold': 0.31}, 2),
        ({'score_threshold': 1.0}, 0),
        ({'max_detections': 2}, 2),
    ],
)
def test_scores_and_number_are_limited(card, settings, kept):
    assert len(found(card, THREE, **settings)) == kept


@pytest.mark.parametrize(
    ('settings', 'kept'),
    [
        ({'classes': ['can']}, ['can']),
        ({'classes': ['hot dog', 'cup']}, ['cup', 'hot dog']),
        ({'classes': []}, ['can', 'cup', 'hot dog']),
        ({'class_thresholds': ['can: 0.95']}, ['cup', 'hot dog']),
        ({'class_thresholds': ['can:0.9', ' hot dog : 0.31']}, ['can', 'cup']),
        ({'score_threshold': 0.6, 'class_thresholds': ['hot dog: 0.2']}, ['can', 'hot dog']),
        ({'classes': ['cup', 'can'], 'class_thresholds': ['can: 0.95', 'hot dog: 0.0']}, ['cup']),
        ({'class_thresholds': ['can: 0.95', 'can: 0.1']}, ['can', 'cup', 'hot dog']),
    ],
)
def test_classes_are_chosen_by_name(card, settings, kept):
    assert [name for name, _ in found(card, THREE, **settings)] == kept


def test_a_class_that_is_filtered_out_has_a_threshold_that_no_score_reaches(card):
    assert detection_settings(card, classes=['can'], score_threshold=0.0).score_thresholds.tolist() == [2.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ('settings', 'says'),
    [
        ({'classes': ['hotdog']}, "parameter classes: model m has no class 'hotdog', did you mean 'hot dog'"),
        ({'classes': ['zebra']}, "has no class 'zebra', its classes are: cup, can, hot dog"),
        ({'class_thresholds': ['cap: 0.5']}, "parameter class_thresholds: model m has no class 'cap', did you mean"),
        ({'class_thresholds': ['cup 0.5']}, 'class_thresholds: got \'cup 0.5\', expected "class name: score"'),
        ({'class_thresholds': ['cup: high']}, "got 'cup: high', expected"),
        ({'class_thresholds': ['cup: 1.01']}, r"got 'cup: 1.01', .*score in \[0, 1\]"),
        ({'class_thresholds': ['cup: -0.1']}, "got 'cup: -0.1', expected"),
        ({'class_thresholds': ['cup: nan']}, "got 'cup: nan', expected"),
        ({'class_thresholds': [': 0.5']}, "got ': 0.5', expected"),
        ({'class_thresholds': ['']}, "got '', expected"),
    ],
)
def test_a_setting_that_does_not_fit_the_model_is_an_error(card, settings, says):
    with pytest.raises(ConfigError, match=says):
        detection_settings(card, **settings)


def test_a_class_name_may_hold_a_colon(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'end_to_end', metadata=ultralytics_metadata(['sign: stop', 'b', 'c']))
    assert detection_settings(read_card(path), class_thresholds=['sign: stop: 0.5']).score_thresholds[0] == 0.5


def test_boxes_come_back_in_source_pixels_clipped_to_the_image(card):
    letterbox = Letterbox.between((2 * WH[0], WH[1]), WH)  # half size, a quarter of the height padded above
    top = letterbox.offset_xy[1]
    outputs = boxes((10, top + 4, 20, top + 14, 0.9, 0), (-5, 0, WH[0] + 5, WH[1], 0.8, 1))
    detections = Postprocessor(card)(outputs, letterbox)
    np.testing.assert_allclose(detections.boxes, [[20, 8, 40, 28], [0, 0, 2 * WH[0], WH[1]]], atol=1e-4)


@pytest.fixture(scope='module')
def pose_card(tmp_path_factory):
    """A model with two keypoints a box, three classes."""
    path = tmp_path_factory.mktemp('model') / 'pose.onnx'
    metadata = ultralytics_metadata(NAMES, task='pose', kpt_shape=[2, 3])
    return read_card(write_model(path, 'yolov8_pose', metadata=metadata, keypoint_shape=(2, 3)))


def posed(*rows):
    """Output of a pose model: rows of centre x, y, width, height, three scores and two keypoints."""
    filled = np.zeros((1, 13, 126), np.float32)
    filled[0, :, : len(rows)] = np.transpose(rows)
    return {'output0': filled}


def test_keypoints_follow_their_boxes_and_come_back_in_source_pixels_beyond_the_image(pose_card):
    letterbox = Letterbox.between((2 * WH[0], WH[1]), WH)  # half size, a quarter of the height padded above
    top = letterbox.offset_xy[1]
    outputs = posed(
        (30, top + 8, 10, 8, 0.7, 0, 0, 1, top + 2, 0.25, -20, top - 10, 0.5),
        (70, top + 8, 10, 8, 0, 0.9, 0, 3, top + 4, 0.75, WH[0] + 9, top + 90, 1.0),
        (31, top + 8, 10, 8, 0.6, 0, 0, 7, 7, 0.1, 7, 7, 0.1),  # what NMS drops
    )
    detections = Postprocessor(pose_card)(outputs, letterbox)
    np.testing.assert_allclose(detections.scores, [0.9, 0.7])
    expected = [
        [[6, 8, 0.75], [2 * WH[0] + 18, 180, 1.0]],
        [[2, 4, 0.25], [-40, -20, 0.5]],
    ]
    np.testing.assert_allclose(detections.keypoints, expected, atol=1e-4)
    assert detections.keypoints.dtype == np.float32
    assert detections.boxes.max() <= 2 * WH[0] and detections.boxes.min() >= 0  # boxes are cut, as ever


def test_no_detection_is_no_keypoint_but_its_shape_stays(pose_card):
    assert Postprocessor(pose_card)(posed(), HERE).keypoints.shape == (0, 2, 3)


def test_a_model_without_keypoints_gives_none(card, raw_card):
    assert Postprocessor(card)(THREE, HERE).keypoints is None
    assert Postprocessor(raw_card)(OVERLAPPING, HERE).keypoints is None


def test_keypoints_that_are_no_numbers_drop_the_frame(pose_card):
    with pytest.raises(FrameError, match='in a keypoint') as caught:
        Postprocessor(pose_card)(posed((30, 30, 9, 9, 0.9, 0, 0, 1, 2, 1, np.nan, 4, 1)), HERE)
    assert caught.value.reason == 'non_finite_output'


OVERLAPPING = raw_boxes(
    (30, 30, 20, 20, 0.9, 0, 0), (31, 30, 20, 20, 0, 0.8, 0), (30, 31, 20, 20, 0.7, 0, 0), (70, 30, 20, 20, 0.6, 0, 0)
)


@pytest.mark.parametrize(
    ('settings', 'kept'),
    [
        ({}, [('cup', 0.9), ('can', 0.8), ('cup', 0.6)]),
        ({'class_aware': False}, [('cup', 0.9), ('cup', 0.6)]),
        ({'iou_threshold': 0.95}, [('cup', 0.9), ('can', 0.8), ('cup', 0.7), ('cup', 0.6)]),
        ({'top_k': 1}, [('cup', 0.9)]),
        ({'max_detections': 2}, [('cup', 0.9), ('can', 0.8)]),
        ({'classes': ['can']}, [('can', 0.8)]),
    ],
)
def test_nms_follows_the_settings(raw_card, settings, kept):
    assert found(raw_card, OVERLAPPING, **settings) == kept


def test_the_card_says_whether_nms_follows(card, raw_card):
    without = with_detection(raw_card, options={'nms': False})
    assert found(without, OVERLAPPING) == [('cup', 0.9), ('can', 0.8), ('cup', 0.7), ('cup', 0.6)]
    assert found(without, OVERLAPPING, max_detections=2) == [('cup', 0.9), ('can', 0.8)]
    rows = boxes((20, 20, 40, 40, 0.9, 0), (20, 21, 40, 41, 0.7, 0), (60, 20, 80, 40, 0.6, 0))
    assert found(card, rows) == [('cup', 0.9), ('cup', 0.7), ('cup', 0.6)]
    assert found(with_detection(card, options={'nms': True}), rows) == [('cup', 0.9), ('cup', 0.6)]


@pytest.mark.parametrize('change', [lambda rows: rows[0], lambda rows: rows[None]], ids=['no batch axis', 'one more'])
def test_outputs_with_other_leading_axes(card, change):
    assert found(card, {'output0': change(THREE['output0'])}) == found(card, THREE)


def test_without_a_batch_axis_there_is_one_image(card):
    with pytest.raises(
        FrameError, match=r'tensor output0 \(the predictions\): got shape .*without a batch axis'
    ) as caught:
        Postprocessor(card)({'output0': THREE['output0'][0]}, HERE, 1)
    assert caught.value.reason == 'bad_tensor'


def test_the_best_score_comes_with_the_frame(card, raw_card):
    assert Postprocessor(card, detection_settings(card, score_threshold=0.95))(THREE, HERE).best_score == np.float32(
        0.9
    )
    assert Postprocessor(raw_card)(OVERLAPPING, HERE).best_score == np.float32(0.9)


def test_rotated_boxes_come_back_whole_with_their_angle(raw_card):
    card = with_detection(raw_card, decoder='yolov8_obb', options={})
    filled = np.zeros((1, 8, 126), np.float32)
    filled[0, :, 0] = 4, 30, 20, 10, 0.9, 0, 0, 0.5
    filled[0, :, 1] = 4, 31, 20, 10, 0.8, 0, 0, 0.5  # what NMS drops
    filled[0, :, 2] = 4, 30, 20, 10, 0.7, 0, 0, 0.5 + np.pi / 2  # which crosses it
    letterbox = Letterbox.between((2 * WH[0], 2 * WH[1]), WH)
    detections = Postprocessor(card)({'output0': filled}, letterbox)
    assert detections.boxes.tolist() == [[-12, 50, 28, 70]] * 2
    assert detections.angles.tolist() == pytest.approx([0.5, 0.5 + np.pi / 2])


def test_settings_can_be_changed_between_frames(card):
    postprocessor = Postprocessor(card)
    assert len(postprocessor(THREE, HERE)) == 3
    postprocessor.settings = detection_settings(card, classes=['can'])
    assert len(postprocessor(THREE, HERE)) == 1


def test_one_image_of_a_batch_is_chosen(card):
    outputs = {'output0': np.concatenate([boxes((0, 0, 9, 9, 0.9, number))['output0'] for number in range(3)])}
    postprocessor = Postprocessor(card)
    assert [postprocessor(outputs, HERE, index).class_ids.tolist() for index in range(3)] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ('outputs', 'reason', 'says'),
    [
        (
            {},
            'missing_tensor',
            r'tensor output0 \(the predictions\): not among the arrived tensors \[\]; give all nodes',
        ),
        (
            {'boxes': np.zeros((1, 2)), 'a': np.zeros(1)},
            'missing_tensor',
            r"among the arrived tensors \['a', 'boxes'\]",
        ),
        ({'output0': np.float32(3).reshape(())}, 'bad_tensor', r'got shape \[\], expected 1 or more images'),
        (
            {'output0': np.zeros((0, 30, 6), np.float32)},
            'bad_tensor',
            r'got shape \[0, 30, 6\], expected 1 or more images',
        ),
    ],
)
def test_a_missing_tensor_is_one_dropped_frame(card, outputs, reason, says):
    with pytest.raises(FrameError, match=says) as caught:
        Postprocessor(card)(outputs, HERE)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    'wrong', [np.zeros((1, 30, 5), np.float32), np.zeros((1, 30), np.float32), np.full((1, 30, 6), np.nan, np.float32)]
)
def test_outputs_of_another_model_are_one_dropped_frame(card, wrong):
    with pytest.raises(FrameError):
        Postprocessor(card)({'output0': wrong}, HERE)


def _listed(options):
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


@pytest.mark.parametrize('kind', KINDS)
def test_every_family_finds_what_is_there_from_image_to_source_pixels(kind, tmp_path):
    (tmp_path / 'm.yaml').write_text(
        yaml.safe_dump(
            {'labels': NAMES, 'decoder': KINDS[kind].decoder, 'decoder_options': _listed(KINDS[kind].options)}
        )
    )
    card = read_card(write_model(tmp_path / 'm.onnx', kind))
    source_wh = (2 * WH[0], 2 * WH[1])
    tensors, letterbox = Preprocessor(card)(np.full((source_wh[1], source_wh[0], 3), 255, np.uint8))
    with create_engine(card, threads=1) as engine:
        detections = Postprocessor(card)(engine.infer(tensors), letterbox)
    expected = known_detections()
    assert detections.class_ids.tolist() == [known.class_id for known in expected]
    np.testing.assert_allclose(detections.scores, [known.score for known in expected], atol=0.01)
    np.testing.assert_allclose(detections.boxes, [np.multiply(known.xyxy, 2) for known in expected], atol=0.5)
    if kind in ('yolov8_obb', 'end_to_end_rotated'):
        np.testing.assert_allclose(detections.angles, [known_angle(known) for known in expected], atol=1e-4)
    else:
        assert detections.angles is None
    if card.keypoints is None:
        assert detections.keypoints is None
    else:
        keypoints = [np.multiply(known_keypoints(known), (2, 2, 1)) for known in expected]
        np.testing.assert_allclose(detections.keypoints, keypoints, atol=0.5)
