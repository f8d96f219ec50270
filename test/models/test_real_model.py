# SPDX-License-Identifier: Apache-2.0
"""A real detector, YOLOX-nano trained on COCO, where its file is at hand."""

from __future__ import annotations

import pytest
from support.paths import YOLOX_NANO

from isaac_inference.models import read_card

pytestmark = pytest.mark.skipif(not YOLOX_NANO.is_file(), reason=f'no YOLOX-nano at {YOLOX_NANO}')


def test_yolox_nano_describes_itself():
    card = read_card(YOLOX_NANO)
    assert card.detection.decoder == 'yolox' and dict(card.detection.options) == {'strides': (8, 16, 32)}
    assert card.image.wh == (416, 416) and card.spec.roles == {'predictions': 'output'}
    assert card.class_count == 80 and card.labels[0] == 'person'
    assert card.sha256.startswith('d39bee73564e3380')
    assert (card.image.preprocess.color, card.image.preprocess.scale, card.image.preprocess.anchor) == (
        'bgr',
        1.0,
        'top_left',
    )
    assert not card.notes
