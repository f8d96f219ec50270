# SPDX-License-Identifier: Apache-2.0
"""Which card the pictures speak for: a detector of colours that was trained with one convention, and real networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.color_detector import BLUE, RED, WH, write_color_detector, write_pictures
from support.paths import DATA

from isaac_inference.engines import create_engine
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder
from isaac_inference.evaluation.card_choice.candidates import CandidateMaker, same_input
from isaac_inference.evaluation.card_choice.choose import Sample, choose_card
from isaac_inference.evaluation.card_choice.ranking import rank, summary
from isaac_inference.evaluation.card_choice.trial import PictureResult
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.reader import read_sources
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.pictures import FrameSource

PHOTOS = DATA / 'coco' / 'calibration'


def choose(model, pictures, *, labels=False, most=0, runs=None):
    maker = CandidateMaker(*read_sources(model))
    folder = LabelFolder(pictures, maker.current.labels) if labels else None
    with create_engine(maker.current, 'onnxruntime') as engine:
        if runs is not None:
            infer = engine.infer
            engine.infer = lambda feeds: runs.append(1) or infer(feeds)
        return choose_card(maker, engine, Sample(FrameSource(str(pictures)), most), folder)


@pytest.mark.parametrize('labels', [False, True], ids=['mirror', 'labels'])
@pytest.mark.parametrize('name', ['yolox', 'damo_yolo', 'paddle', 'rtmdet', 'caffe', 'ssd', 'ultralytics'])
def test_the_preparation_that_the_model_was_trained_with_comes_first(tmp_path, name, labels):
    trained = CONVENTIONS[name].preprocess
    model = write_color_detector(tmp_path / 'colors.onnx', trained)
    ranking = choose(model, write_pictures(tmp_path / 'pictures'), labels=labels)
    found = ranking.chosen.candidate.card.image.preprocess
    # the pictures have the input's shape, so nothing is padded, and only colours and values can be told apart
    assert same_input(dataclasses.replace(found, fit='stretch'), dataclasses.replace(trained, fit='stretch'))
    assert ranking.doubt == '' and ranking.margin > 0.5
    if labels:
        assert ranking.chosen.score == pytest.approx(1.0, abs=0.05) and ranking.chosen.precision.map50 == pytest.approx(
            1.0
        )


def test_a_preparation_that_is_no_convention_is_found_as_a_variant(tmp_path):
    trained = PreprocessSpec(color='bgr')
    ranking = choose(write_color_detector(tmp_path / 'm.onnx', trained), write_pictures(tmp_path / 'p'))
    assert ranking.chosen.candidate.name == 'yolo_nas, color bgr' and not ranking.doubt
    close = PreprocessSpec(color='bgr', fit='stretch', **_values('paddle', reverse=True))
    ranking = choose(
        write_color_detector(tmp_path / 'n.onnx', close, (RED, BLUE)),
        write_pictures(tmp_path / 'q', 8, (RED, BLUE)),
        labels=True,
    )  # red and blue are each other's mirror in colour, so labels are needed
    assert ranking.chosen.candidate.card.image.preprocess.color == 'bgr' and not ranking.doubt


def _values(name, *, reverse):
    spec = CONVENTIONS[name].preprocess
    step = -1 if reverse else 1
    return {'mean': spec.mean[::step], 'std': spec.std[::step]}


def test_what_the_mirror_cannot_tell_apart_is_a_doubt_that_labels_settle(tmp_path):
    colors = (RED, BLUE)  # with red and blue swapped, a model that knows both finds as much, by wrong names
    model = write_color_detector(tmp_path / 'm.onnx', CONVENTIONS['yolox'].preprocess, colors)
    pictures = write_pictures(tmp_path / 'p', 8, colors)
    unclear = choose(model, pictures)
    assert 'do not tell' in unclear.doubt and unclear.rivals
    clear = choose(model, pictures, labels=True)
    assert clear.doubt == '' and clear.chosen.candidate.card.image.preprocess.color == 'bgr'


def test_pictures_of_other_things_and_too_few_pictures_are_doubts(tmp_path):
    model = write_color_detector(tmp_path / 'm.onnx', CONVENTIONS['yolox'].preprocess)
    assert 'no candidate finds' in choose(model, write_pictures(tmp_path / 'blue', 8, (BLUE,))).doubt
    few = choose(model, write_pictures(tmp_path / 'few', 3))
    assert 'too few' in few.doubt and few.chosen.candidate.card.image.preprocess.color == 'bgr'


def test_candidates_that_only_place_the_image_otherwise_leave_the_likeliest_one(tmp_path):
    model = write_color_detector(tmp_path / 'm.onnx', CONVENTIONS['yolo_nas'].preprocess)
    ranking = choose(model, write_pictures(tmp_path / 'p'))
    assert ranking.chosen.candidate.name == 'yolo_nas' and ranking.chosen.candidate.is_current
    assert {item.candidate.card.image.preprocess.fit.value for item in ranking.tied} == {'stretch', 'letterbox'}
    assert summary(ranking)['candidates'][0]['card'] == {'preprocess': 'preprocess: {convention: yolo_nas}'}


def test_the_network_runs_once_on_each_tensor(tmp_path):
    model = write_color_detector(tmp_path / 'm.onnx', CONVENTIONS['yolo_nas'].preprocess)
    runs = []
    ranking = choose(model, write_pictures(tmp_path / 'p'), runs=runs)
    values = {
        (spec.color, spec.scale, spec.mean, spec.std)
        for spec in (item.candidate.card.image.preprocess for item in ranking.entries)
    }
    assert len(ranking.entries) > len(values)
    # a picture and its mirror image; what is tried around the best repeats its values in a second pass at most
    assert len(runs) <= 8 * 2 * (len(values) + 1)


def test_a_network_that_always_finds_the_same_scores_nothing(tmp_path):
    model = write_color_detector(tmp_path / 'm.onnx', CONVENTIONS['yolox'].preprocess)
    garbage, sound, mirrored_elsewhere = CandidateMaker(*read_sources(model)).conventions()[:3]
    random = np.random.default_rng(3)
    places = random.uniform(0, 60, (8, 2))

    def boxes(corner, score):
        x, y = corner
        return Detections(
            np.array([[x, y, x + 12, y + 12]], np.float32), np.array([score], np.float32), np.zeros(1, np.int32)
        )

    def results(plain, back):
        pairs = zip(plain, back, strict=True)
        return [PictureResult(str(i), WH, one, two, None, None, b'') for i, (one, two) in enumerate(pairs)]

    constant = [boxes((20, 20), 1.0)] * 8
    real = [boxes(place, 0.4) for place in places]
    astray = [boxes(place + 30, 0.9) for place in places]
    ranking = rank(
        [garbage, sound, mirrored_elsewhere],
        [results(constant, constant), results(real, real), results([boxes(p, 0.9) for p in places], astray)],
        has_labels=False,
    )
    assert ranking.chosen.candidate is sound and ranking.doubt == ''
    scores = {item.candidate.name: item.score for item in ranking.entries}
    assert scores[garbage.name] == pytest.approx(0.0, abs=1e-6)
    assert scores[sound.name] == pytest.approx(0.4, abs=0.1)
    assert scores[mirrored_elsewhere.name] < 0.1


def test_a_hundred_sure_boxes_of_garbage_lose_to_one_that_the_mirror_confirms(tmp_path):
    model = write_color_detector(tmp_path / 'm.onnx', CONVENTIONS['yolox'].preprocess)
    garbage, sound = CandidateMaker(*read_sources(model)).conventions()[:2]
    random = np.random.default_rng(5)

    def boxes(corners, score):
        corners = np.asarray(corners, np.float32)
        scores = np.full(len(corners), score, np.float32)
        return Detections(np.concatenate([corners, corners + 14], axis=1), scores, np.zeros(len(corners), np.int32))

    sure, real = [], []
    for number in range(8):
        places = random.uniform(0, [WH[0] - 14, WH[1] - 14], (2, 90, 2))
        places[1, :30] = places[0, :30]  # what saturates is often found again
        sure.append(PictureResult(str(number), WH, boxes(places[0], 1.0), boxes(places[1], 1.0), None, None, b''))
        one = boxes(places[0, :1], 0.5)
        real.append(PictureResult(str(number), WH, one, one, None, None, b''))
    ranking = rank([garbage, sound], [sure, real], has_labels=False)
    assert ranking.chosen.candidate is sound and ranking.doubt == ''
    assert ranking.chosen.top_score < ranking.entries[1].top_score and ranking.entries[1].score < 0


def test_a_sample_is_spread_evenly_and_names_what_is_damaged(tmp_path):
    folder = write_pictures(tmp_path / 'p', 9)
    (folder / '03.png').write_bytes(b'no picture')
    sample = Sample(FrameSource(str(folder)), 3)
    assert len(sample) == 3
    assert [frame.name for frame in sample] == ['00.png', '06.png'] == [frame.name for frame in sample]
    assert sample.damaged == {'03.png'}
    assert len(list(Sample(FrameSource(str(folder))))) == 8


def test_no_picture_with_labels_is_said(tmp_path):
    model = write_color_detector(tmp_path / 'm.onnx', CONVENTIONS['yolox'].preprocess)
    pictures = write_pictures(tmp_path / 'p', 2)
    for path in pictures.glob('*.txt'):
        path.rename(path.with_name(f'other{path.name}'))
    with pytest.raises(ConfigError, match='no picture has a label file'):
        choose(model, pictures, labels=True)


REAL = {
    'yolox_person_192.onnx': ('bgr', 1.0),
    'yolox_nano.onnx': ('bgr', 1.0),
}


@pytest.mark.parametrize('name', REAL)
def test_real_networks_are_recognised_on_photos(name):
    model = DATA / 'models' / name
    if not model.is_file() or not PHOTOS.is_dir():
        pytest.skip(f'no {model} or {PHOTOS}')
    ranking = choose(model, PHOTOS, most=24 if '192' in name else 8)
    chosen = ranking.chosen.candidate.card.image.preprocess
    assert (chosen.color, chosen.scale) == REAL[name] and not any(chosen.mean)
    assert ranking.chosen.candidate.name == 'yolox' and ranking.doubt == ''
