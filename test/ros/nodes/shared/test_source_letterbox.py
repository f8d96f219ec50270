# SPDX-License-Identifier: Apache-2.0
"""Which letterbox a frame has: its own, the user's, or none."""

from __future__ import annotations

import numpy as np
import pytest
from support.onnx_models.color_classes import write_color_classes

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ros.nodes.shared.source_letterbox import SourceLetterbox


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory):
    return write_color_classes(tmp_path_factory.mktemp('card') / 'colors.onnx')


def test_the_one_that_travelled_with_it_goes_first(card):
    own = Letterbox.between((320, 200), (64, 64), 'crop')
    for size in ((0, 0), (640, 480)):
        assert SourceLetterbox(card, size).of({'letterbox': own.to_array()}) == own
        assert SourceLetterbox(card, size).of({'letterbox': own.to_array().astype(np.float32)}).source_wh == (320, 200)


def test_else_the_user_s(card):
    assert SourceLetterbox(card, (640, 480)).of({}) == Letterbox.between((640, 480), (64, 64))


def test_else_the_frame_is_refused(card):
    with pytest.raises(FrameError, match='source_size') as caught:
        SourceLetterbox(card, (0, 0)).of({})
    assert caught.value.reason == 'no_letterbox'


@pytest.mark.parametrize('array', [np.zeros(8), np.ones(7), np.full(8, np.nan)])
def test_one_that_cannot_be_is_refused(card, array):
    with pytest.raises(FrameError) as caught:
        SourceLetterbox(card, (0, 0)).of({'letterbox': array})
    assert caught.value.reason == 'bad_letterbox'
