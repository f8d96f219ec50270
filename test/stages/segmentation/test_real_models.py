# SPDX-License-Identifier: Apache-2.0
"""Real networks on real pictures: the mask against one that is made without any code of ours."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
from support.paths import DATA
from support.segmentation.cards import real_cards

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.segmentation.segmenter import Segmenter
from isaac_inference.stages.segmentation.settings import segmentation_settings

PICTURES = sorted((DATA / 'coco' / 'eval').glob('*.jpg'))
CARDS = real_cards()

pytestmark = [
    pytest.mark.skipif(not PICTURES, reason=f'no pictures in {DATA / "coco" / "eval"}'),
    pytest.mark.skipif(not CARDS, reason=f'no segmentation models in {DATA / "models"}'),
]
AGREE = 0.999


def by_hand(card, image, run, linear):
    """The mask with OpenCV, NumPy and ONNX Runtime alone: letterbox, run, cut the padding off, upsample."""
    spec, (width, height) = card.image.preprocess, card.image.wh
    source_h, source_w = image.shape[:2]
    ratio = min(width / source_w, height / source_h)
    wide, high = round(source_w * ratio), round(source_h * ratio)
    left, top = (width - wide) // 2, (height - high) // 2
    canvas = np.full((height, width, 3), spec.pad_value, np.uint8)
    canvas[top : top + high, left : left + wide] = cv2.resize(image, (wide, high))
    if spec.color == 'rgb':
        canvas = canvas[..., ::-1]
    tensor = (canvas.astype(np.float32) * np.float32(spec.scale) - np.float32(spec.mean)) / np.float32(spec.std)
    scores = run(tensor[None])[0][top : top + high, left : left + wide]
    size = (source_w, source_h)
    if linear:
        scores = cv2.resize(scores, size, interpolation=cv2.INTER_LINEAR).reshape(source_h, source_w, -1)
        return scores.argmax(axis=2) if scores.shape[2] > 1 else scores[..., 0] > 0.5
    ids = scores.argmax(axis=2) if scores.shape[2] > 1 else (scores[..., 0] > 0.5).astype(int)
    rows = np.floor((np.arange(source_h) + 0.5) * high / source_h).astype(int)
    columns = np.floor((np.arange(source_w) + 0.5) * wide / source_w).astype(int)
    return ids[rows][:, columns]


@pytest.mark.parametrize('name', sorted(CARDS))
@pytest.mark.parametrize('upsampling', ['nearest', 'bilinear'])
def test_the_mask_is_that_of_an_independent_computation(name, upsampling):
    card = CARDS[name]
    session = onnxruntime.InferenceSession(str(card.path), providers=['CPUExecutionProvider'])
    feed = session.get_inputs()[0].name
    preprocess = Preprocessor(card)
    segmenter = Segmenter(card, segmentation_settings(card, upsampling=upsampling))
    classes = set()
    for path in PICTURES:
        image = cv2.imread(str(path))
        tensors, letterbox = preprocess(image)
        outputs = dict(zip([spec.name for spec in card.outputs], session.run(None, tensors), strict=True))
        found = segmenter(outputs, letterbox)
        truth = by_hand(card, image, lambda tensor: session.run(None, {feed: tensor})[0], upsampling == 'bilinear')
        assert found.mask.shape == image.shape[:2]
        assert (found.mask == truth).mean() >= AGREE, path.name
        classes |= set(np.unique(found.mask).tolist())
    assert len(classes) > 1
    assert max(classes) < len(segmenter.names)


@pytest.mark.parametrize('name', sorted(set(CARDS) & {'voc', 'selfie'}))
def test_a_file_without_a_card_is_read_as_it_is_meant(name):
    """The skier of the second photo, by a card that recognition made and by one that was made by hand."""
    image, masks = cv2.imread(str(PICTURES[1])), []
    for card in (CARDS[name], read_card(CARDS[name].path)):
        tensors, letterbox = Preprocessor(card)(image)
        with create_engine(card) as engine:
            masks.append(Segmenter(card)(engine.infer(tensors), letterbox).mask > 0)
    assert 0.05 < masks[0].mean() < 0.2
    assert np.count_nonzero(masks[0] & masks[1]) > 0.8 * np.count_nonzero(masks[0] | masks[1])
