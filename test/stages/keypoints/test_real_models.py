# SPDX-License-Identifier: Apache-2.0
"""MoveNet and BlazePose on real photos, against a computation from their published descriptions that shares no code.

MoveNet (its page on TensorFlow Hub): RGB as int32 0..255, resized with padding; [1, 1, 17, 3] as y, x in fractions of
the input and a score. BlazePose (MediaPipe's pose_landmark graphs): RGB 0..1; 39 landmarks of x, y in px of 256, z,
and logits of visibility and presence, of which the first 33 are the skeleton; a flag 0..1 that somebody is there.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.paths import DATA

from isaac_inference.models import read_card
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.keypoints.decoder import TopDownDecoder

MODELS, PHOTOS = DATA / 'models', sorted((DATA / 'coco' / 'eval').glob('*.jpg'))
MOVENET, BLAZEPOSE = MODELS / 'movenet_singlepose_lightning.onnx', MODELS / 'blazepose_landmark_lite.onnx'
OBJECTRON = MODELS / 'objectron_cup.onnx'
pytestmark = pytest.mark.skipif(not MOVENET.is_file() or not PHOTOS, reason=f'no {MOVENET}, or no photos')
MOST_PX = 0.5  # of the photo


def session_of(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


def padded(photo, side, shrink=round):
    """The photo in the middle of a black square, and px of the square for one of the photo, and where it begins."""
    height, width = photo.shape[:2]
    scale = side / max(height, width)
    new_w, new_h = shrink(width * scale), shrink(height * scale)
    left, top = (side - new_w) // 2, (side - new_h) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + new_h, left : left + new_w] = cv2.resize(photo, (new_w, new_h))
    return square, np.array([new_w / width, new_h / height]), np.array([left, top])


def by_movenet(session, photo):
    """(17, 3) x, y in px of the photo, and the score."""
    square, scale, origin = padded(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB), 192, int)
    rows = session.run(None, {'input:0': square[None].astype(np.int32)})[0].reshape(17, 3)
    return np.concatenate(((rows[:, 1::-1] * 192 - origin) / scale, rows[:, 2:]), axis=1)


def by_blazepose(session, photo):
    """(33, 3) x, y in px of the photo, and the lower of visibility and presence, which is 0 where nobody is there."""
    square, scale, origin = padded(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB), 256)
    rows, flag = session.run(['Identity', 'Identity_1'], {'input_1': square[None].astype(np.float32) / 255})
    rows = rows.reshape(39, 5)[:33]
    sure = 1 / (1 + np.exp(-rows[:, 3:].min(axis=1))) if flag.item() >= 0.5 else np.zeros(33)
    return np.concatenate(((rows[:, :2] - origin) / scale, sure[:, None]), axis=1)


def by_the_stages(session, card, photo):
    """The same by the card, the preprocessing and the decoder."""
    tensors, letterbox = Preprocessor(card)(photo)
    outputs = dict(zip((spec.name for spec in card.outputs), session.run(None, tensors), strict=True))
    found = TopDownDecoder(card).decode(outputs)[0]
    return np.concatenate((letterbox.points_to_source(found[:, :2].astype(np.float64)), found[:, 2:]), axis=1)


@pytest.mark.parametrize(('path', 'published'), [(MOVENET, by_movenet), (BLAZEPOSE, by_blazepose)])
def test_keypoints_are_those_of_the_published_description(path, published):
    session, card = session_of(path), read_card(path)
    seen = 0
    for file in PHOTOS:
        photo = cv2.imread(str(file))
        found, expected = by_the_stages(session, card, photo), published(session, photo)
        np.testing.assert_allclose(found[:, :2], expected[:, :2], atol=MOST_PX, err_msg=file.name)
        np.testing.assert_allclose(found[:, 2], expected[:, 2], atol=1e-3, err_msg=file.name)
        seen += int(found[:, 2].mean() > 0.5)
    assert seen >= 1  # somebody is there in some of them


def test_somebody_is_there_where_coco_says_so_and_nobody_where_an_animal_is():
    card, session = read_card(BLAZEPOSE), session_of(BLAZEPOSE)
    confidence = {
        name: by_the_stages(session, card, cv2.imread(str(DATA / 'coco' / 'eval' / name)))[:, 2].mean()
        for name in ('000000000785.jpg', '000000000285.jpg')
    }  # a skier, a bear
    assert confidence['000000000785.jpg'] > 0.8 and confidence['000000000285.jpg'] == 0.0


def test_movenet_finds_a_skier_where_coco_has_her_box():
    name = '000000000785'
    photo = cv2.imread(str(DATA / 'coco' / 'eval' / f'{name}.jpg'))
    cx, cy, width, height = map(float, (DATA / 'coco' / 'eval' / f'{name}.txt').read_text().split()[1:5])
    size = np.array(photo.shape[1::-1])
    low, high = np.array([cx - width / 2, cy - height / 2]) * size, np.array([cx + width / 2, cy + height / 2]) * size
    found = by_the_stages(session_of(MOVENET), read_card(MOVENET), photo)
    sure = found[found[:, 2] > 0.4, :2]
    assert len(sure) >= 10
    assert (sure > low - 10).all() and (sure < high + 10).all()


def test_objectron_is_read_by_the_line_that_its_error_gives(tmp_path):
    line = '{keypoints: {columns: [x, y]}, outputs: {keypoints: Identity_1, presence: Identity}}'
    with pytest.raises(Exception, match='fit no known detector') as error:
        read_card(OBJECTRON)
    assert f'`{line}`  (tried' in str(error.value)
    (tmp_path / 'card.yaml').write_text(line)
    card = read_card(OBJECTRON, tmp_path / 'card.yaml')
    session = session_of(OBJECTRON)
    photo = cv2.imread(str(PHOTOS[0]))
    found = by_the_stages(session, card, photo)
    square, scale, origin = padded(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB), 224)
    rows = session.run(['Identity_1'], {'input_1': square[None].astype(np.float32) / 255})[0].reshape(9, 2)
    np.testing.assert_allclose(found[:, :2], (rows - origin) / scale, atol=MOST_PX)
