# SPDX-License-Identifier: Apache-2.0
"""What two runs on pictures of ours say of a model, and of a card that reads it wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.cards import known_to_nodes, with_detection, with_preprocess
from support.dense.networks import write_filler, write_matcher
from support.onnx_models import WH, ultralytics_metadata, write_model
from support.onnx_models.blind import constant_model
from support.onnx_models.color_classes import write_color_classes
from support.onnx_models.constant import write_constant
from support.paths import YOLOX_NANO
from support.segmentation.cards import segmentation_card

from isaac_inference.engines import Engine, create_engine
from isaac_inference.engines.onnxruntime.runner import OnnxRuntimeEngine
from isaac_inference.errors import EngineError
from isaac_inference.evaluation.probe import LOW_SCORE, MANY_BOXES, ProbeReport, probe
from isaac_inference.models import PreprocessSpec, read_card

LABELS = ['cup', 'can', 'box']


def report_of(path: Path, change=lambda card: card) -> ProbeReport:
    card = change(read_card(path))
    with create_engine(card, 'onnxruntime') as engine:
        return probe(card, engine)


def names(report: ProbeReport) -> list[str]:
    return [finding.name for finding in report.findings]


@pytest.fixture
def cups(tmp_path):
    """A model that finds its boxes in anything bright."""
    return write_model(tmp_path / 'cups.onnx', 'yolov8', metadata=ultralytics_metadata(LABELS))


def fixed(tmp_path: Path, predictions: np.ndarray, card: str) -> Path:
    """A model with one output that is the same for every picture, and its card."""
    image = ('images', 'float32', (1, 3, 640, 640))
    path = write_constant(tmp_path / 'fixed.onnx', {'output': predictions}, image=image)
    path.with_suffix('.yaml').write_text(card)
    return path


def test_a_sound_model_gives_no_finding(cups):
    report = report_of(cups)
    assert report.findings == ()
    assert (report.boxes, report.score_threshold) == (3, 0.25)
    assert 0.3 < report.best_score < 0.9
    assert report.summary() == f'3 boxes at score_threshold 0.25, best raw score {report.best_score:.4g}'


def test_a_model_without_boxes_is_judged_by_its_outputs_alone(tmp_path):
    card = write_color_classes(tmp_path / 'colors.onnx')
    report = report_of(card.path)
    assert (report.findings, report.boxes, report.score_threshold) == ((), None, None)
    assert report.summary() == 'outputs are finite and depend on the picture'


@pytest.mark.parametrize(('value', 'found'), [(1.0, 'constant_outputs'), (np.nan, 'non_finite')])
def test_outputs_that_cannot_be_are_found_without_boxes_too(tmp_path, value, found):
    path = write_constant(tmp_path / 'flat.onnx', {'scores': np.full((1, 2, 64, 96), value, np.float32)})
    report = report_of(known_to_nodes(segmentation_card(path, ['floor', 'wall'])).path)
    assert names(report)[0] == found
    assert report.summary() == found


@pytest.mark.skipif(not YOLOX_NANO.is_file(), reason=f'no YOLOX-nano at {YOLOX_NANO}')
def test_a_real_model_finds_things_and_gives_no_finding():
    report = report_of(YOLOX_NANO)
    assert report.findings == ()
    assert report.boxes >= 3
    assert report.best_score > 0.7


@pytest.mark.skipif(not YOLOX_NANO.is_file(), reason=f'no YOLOX-nano at {YOLOX_NANO}')
def test_a_real_model_that_is_prepared_wrongly_is_told_with_the_line_of_the_card():
    report = report_of(YOLOX_NANO, lambda card: with_preprocess(card, PreprocessSpec(scale=1 / 255)))
    finding = report.findings[0]
    assert (names(report), finding.is_hint) == (['low_scores'], True)
    assert 'preprocess' in finding.sentence
    assert report.best_score < LOW_SCORE


def test_outputs_that_do_not_depend_on_the_picture(tmp_path):
    report = report_of(constant_model(tmp_path / 'deaf.onnx', LABELS))
    assert names(report) == ['constant_outputs']
    assert not report.findings[0].is_hint
    assert report.boxes == 3


def test_a_model_that_finds_nothing_twice_is_not_constant(tmp_path):
    rows = np.zeros((1, 30, 6), np.float32)
    report = report_of(fixed(tmp_path, rows, 'decoder: end_to_end\nlabels: [cup, can, box]'))
    assert (names(report), report.boxes, report.best_score) == (['low_scores'], 0, 0.0)


def test_seven_columns_that_are_read_as_yolov5(tmp_path):
    rows = np.zeros((1, 100, 7), np.float32)
    rows[0, 0] = 0, 100, 100, 200, 220, 0.9, 16
    path = fixed(tmp_path, rows, 'decoder: end_to_end\nlabels: [cup, can]')
    report = report_of(path, lambda card: with_detection(card, decoder='yolov5', options={}))
    assert names(report) == ['scores_above_one', 'constant_outputs']
    assert 'decoder_options.activation' in report.findings[0].sentence
    assert (report.boxes, report.best_score) == (None, 3520.0)
    assert report.summary() == 'boxes could not be read, best raw score 3520'


@pytest.mark.parametrize(
    ('box', 'name'),
    [
        ((0.1, 0.2, 0.3, 0.4), 'boxes_below_one_pixel'),
        ((40, 30, 20, 10), 'boxes_inverted'),
        ((5000, 5000, 9000, 9000), 'boxes_outside'),
    ],
)
def test_boxes_in_other_units_or_formats(tmp_path, box, name):
    rows = np.zeros((1, 30, 6), np.float32)
    rows[0, :5] = (*box, 0.1, 1)  # below the threshold, so that no frame would be dropped for it
    path = fixed(tmp_path, rows, 'decoder: end_to_end\nlabels: [cup, can, box]')
    report = report_of(path, lambda card: with_detection(card, options={'nms': False}))  # pixels, x1 y1 x2 y2
    assert names(report) == [name, 'constant_outputs']
    assert 'in the model card' in report.findings[0].sentence


def test_nan_is_a_finding_of_its_own(tmp_path):
    rows = np.zeros((1, 30, 6), np.float32)
    rows[0, 0] = np.nan, 1, 2, 3, 0.9, 0
    report = report_of(fixed(tmp_path, rows, 'decoder: end_to_end\nlabels: [cup, can, box]'))
    assert names(report)[0] in ('non_finite', 'non_finite_output')
    assert report.boxes is None


def test_a_crowd_is_a_hint(tmp_path):
    count = MANY_BOXES + 1
    rows = np.zeros((1, 100, 6), np.float32)
    rows[0, :count] = [(x, 5, x + 9, 25, 0.9, 0) for x in 10 * np.arange(count)]
    path = fixed(tmp_path, rows, 'decoder: end_to_end\nlabels: [cup, can, box]')
    report = report_of(path)
    assert [(finding.name, finding.is_hint) for finding in report.findings] == [
        ('constant_outputs', False),
        ('many_boxes', True),
    ]
    assert report.boxes == count


def test_a_decoder_that_cannot_read_the_outputs_is_a_finding(cups):
    report = report_of(cups, lambda card: with_detection(card, decoder='yolox', options={'strides': (8, 16, 32)}))
    assert report.findings
    assert report.boxes is None


def test_an_engine_that_fails_is_a_finding(cups, monkeypatch):
    def fail(self: Engine, feeds: object) -> object:
        raise EngineError('no memory')

    monkeypatch.setattr(OnnxRuntimeEngine, '_infer', fail)
    report = report_of(cups)
    assert (names(report), report.boxes, report.best_score) == (['not_run'], None, None)
    assert 'no memory' in report.findings[0].sentence


def test_an_engine_that_reuses_its_outputs_is_not_constant(cups, monkeypatch):
    infer, memory = OnnxRuntimeEngine._infer, {}

    def into_the_same_arrays(self: OnnxRuntimeEngine, feeds: object) -> object:
        for name, array in infer(self, feeds).items():
            memory.setdefault(name, np.empty_like(array))[...] = array
        return memory

    monkeypatch.setattr(OnnxRuntimeEngine, '_infer', into_the_same_arrays)
    monkeypatch.setattr(OnnxRuntimeEngine, 'reuses_outputs', True)
    assert report_of(cups).findings == ()


@pytest.mark.parametrize('dynamic', [True, 'batch'])
def test_open_dimensions(tmp_path, dynamic):
    path = write_model(
        tmp_path / 'cups.onnx', 'yolov8', dynamic=dynamic, metadata=ultralytics_metadata(LABELS, imgsz=WH[::-1])
    )
    assert report_of(path).boxes == 3


@pytest.mark.parametrize('write', [write_matcher, write_filler])
def test_pairs_and_images_with_depth_are_run_too(tmp_path, write):
    report = report_of(write(tmp_path / 'm.onnx'))
    assert (report.findings, report.score_threshold) == ((), None)
    assert report.summary() == 'outputs are finite and depend on the picture'


def test_a_pair_whose_outputs_cannot_be_is_found(tmp_path):
    outputs = {'disparity': np.full((1, 1, 64, 96), np.nan, np.float32)}
    images = [(side, 'float32', (1, 3, 64, 96)) for side in ('left', 'right')]
    assert names(report_of(write_constant(tmp_path / 'm.onnx', outputs, image=images[0], beside=images[1:]))) == [
        'non_finite',
        'constant_outputs',
    ]
