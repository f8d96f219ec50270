# SPDX-License-Identifier: Apache-2.0
"""Images as feeds for calibration: the same as the running pipeline's, in each pass."""

from __future__ import annotations

import numpy as np
import pytest
from support.onnx_models import write_model

from isaac_inference.errors import FrameError
from isaac_inference.models import read_card
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.image.calibration import CalibrationSet


@pytest.fixture
def card(tmp_path):
    (tmp_path / 'a.yaml').write_text('labels: [cup, can, box]')
    return read_card(write_model(tmp_path / 'a.onnx', 'boxes_scores_labels'))


def images(count=3):
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (40 + 8 * index, 60, 3), np.uint8) for index in range(count)]


@pytest.mark.parametrize('keep_bytes', [0, 1 << 30, 100_000])
def test_each_pass_gives_what_the_preprocessor_gives(card, keep_bytes):
    passes = []

    def source():
        passes.append(1)
        return iter(images())

    feeds, prepare = CalibrationSet(card, source, keep_bytes), Preprocessor(card)
    for _ in range(2):
        found = list(feeds)
        assert len(found) == 3
        for feed, image in zip(found, images(), strict=True):
            wanted, _ = prepare(image)
            assert feed.keys() == wanted.keys() and len(feed) == 2, 'the size input is fed, too'
            assert all(np.array_equal(feed[name], wanted[name]) for name in wanted)
            assert feed['images'].shape[0] == 1
    assert len(passes) == (1 if keep_bytes == 1 << 30 else 2)


def test_a_pass_that_was_left_early_is_not_taken_for_the_whole(card):
    feeds = CalibrationSet(card, images)
    next(iter(feeds))
    assert len(list(feeds)) == 3


def test_an_image_without_pixels_is_told(card):
    with pytest.raises(FrameError):
        list(CalibrationSet(card, lambda: [np.empty((0, 0, 3), np.uint8)]))
