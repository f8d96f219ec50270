# SPDX-License-Identifier: Apache-2.0
"""Real models on real pictures: nothing plausible is refused, and a card that reads them wrongly is."""

from __future__ import annotations

from collections import Counter
from functools import cache

import cv2
import numpy as np
import pytest
from support.cards import with_detection
from support.paths import DATA, YOLOX_NANO

from isaac_inference.engines import create_engine
from isaac_inference.errors import FrameError
from isaac_inference.models import read_card
from isaac_inference.ops.boxes.nms import nms
from isaac_inference.ops.decoders import DECODERS
from isaac_inference.stages import Postprocessor, Preprocessor, detection_settings

PICTURES = sorted((DATA / 'coco' / 'eval').glob('*.jpg'))
CENTERNET = DATA / 'models' / 'centernet_mbv3_coco_512.onnx'
PICODET = DATA / 'models' / 'picodet_layout_cdla.onnx'

pytestmark = pytest.mark.skipif(not PICTURES, reason=f'no pictures in {DATA / "coco" / "eval"}')
needs_yolox = pytest.mark.skipif(not YOLOX_NANO.exists(), reason=f'no {YOLOX_NANO}')


@cache
def yolox_frames():
    """The card, and each picture's outputs and letterbox."""
    card = read_card(YOLOX_NANO)
    preprocess = Preprocessor(card)
    frames = []
    with create_engine(card, threads=1) as engine:
        for path in PICTURES:
            tensors, letterbox = preprocess(cv2.imread(str(path)))
            frames.append(({name: array.copy() for name, array in engine.infer(tensors).items()}, letterbox))
    return card, frames


@needs_yolox
@pytest.mark.parametrize('threshold', [0.0, 0.01, 0.25, 0.5])
def test_what_a_model_really_sees_passes(threshold):
    card, frames = yolox_frames()
    postprocess = Postprocessor(card, detection_settings(card, score_threshold=threshold))
    found = [postprocess(outputs, letterbox) for outputs, letterbox in frames]
    assert sum(len(one) for one in found) > 20
    assert all(0 < one.best_score <= 1 for one in found)
    assert all(one.best_score == one.scores[0] for one in found if len(one))


@needs_yolox
@pytest.mark.parametrize(
    ('decoder', 'options', 'reason'),
    [
        ('yolov5', {}, 'boxes_below_one_pixel'),  # the raw grid, read as pixels
        ('yolov5', {'box_format': 'xyxy'}, 'boxes_below_one_pixel'),
        ('yolov8', {}, 'boxes_below_one_pixel'),
        ('yolov5', {'box_format': 'yxyx', 'normalized': True}, 'boxes_inverted'),
    ],
)
def test_a_card_that_reads_it_wrongly_is_refused(decoder, options, reason):
    card, frames = yolox_frames()
    wrong = with_detection(card, decoder=decoder, options=options)
    postprocess = Postprocessor(wrong, detection_settings(wrong, score_threshold=0.25))
    reasons = Counter()
    for outputs, letterbox in frames:
        try:
            found = postprocess(outputs, letterbox)
        except FrameError as error:
            reasons[error.reason] += 1
        else:
            reasons['detections'] += len(found) > 0
    assert not reasons['detections']
    assert reasons.most_common(1)[0][0] == reason


def run(path, name, tensor):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {name: tensor}), strict=True))


@pytest.mark.skipif(not CENTERNET.exists(), reason=f'no {CENTERNET}')
@pytest.mark.parametrize('path', PICTURES[:4], ids=lambda path: path.stem)
def test_centernet_s_maps_give_what_the_model_itself_makes_of_them(path):
    picture = cv2.cvtColor(cv2.resize(cv2.imread(str(path)), (512, 512)), cv2.COLOR_BGR2RGB)
    outputs = run(CENTERNET, 'tower_0/images:0', picture[None].astype(np.float32))
    options = {'input_wh': (512, 512), 'class_count': 80, 'score_threshold': 0.3}
    own = DECODERS['end_to_end'].decode({'predictions': outputs['tower_0/detections'][0]}, **options)
    maps = {'heatmap': outputs['tower_0/keypoints'][0], 'sizes': outputs['tower_0/wh'][0]}
    found = DECODERS['centernet'].decode(maps, **options)
    ours, theirs = np.argsort(-found.scores), np.argsort(-own.scores)
    assert len(own)
    np.testing.assert_array_equal(found.class_ids[ours], own.class_ids[theirs])
    np.testing.assert_allclose(found.scores[ours], own.scores[theirs], rtol=1e-6)
    np.testing.assert_allclose(found.boxes[ours], own.boxes[theirs], atol=1e-3)


@pytest.mark.skipif(not PICODET.exists(), reason=f'no {PICODET}')
def test_picodet_s_heads_find_the_figure_on_a_page():
    page = np.full((800, 608, 3), 255, np.uint8)
    for y in range(60, 300, 24):
        cv2.putText(page, 'The quick brown fox jumps over lazy dog', (40, y), 0, 0.7, (0, 0, 0), 1)
    figure = (100, 400, 500, 700)
    cv2.rectangle(page, figure[:2], figure[2:], (30, 90, 160), -1)
    cv2.circle(page, (250, 550), 80, (200, 20, 20), -1)
    tensor = ((page / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)[None]
    arrays = [array[0] for array in run(PICODET, 'image', tensor.astype(np.float32)).values()]
    outputs = {f'scores_{stride}': array for stride, array in zip((8, 16, 32, 64), arrays[:4], strict=True)}
    outputs |= {f'boxes_{stride}': array for stride, array in zip((8, 16, 32, 64), arrays[4:], strict=True)}
    options = {'input_wh': (608, 800), 'class_count': 10, 'score_threshold': 0.4}
    found = nms(DECODERS['anchor_free_heads'].decode(outputs, **options), iou_threshold=0.5)
    (figures,) = found.boxes[found.class_ids == 2]
    np.testing.assert_allclose(figures, figure, atol=15)
