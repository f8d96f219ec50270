# SPDX-License-Identifier: Apache-2.0
"""Photos as an industrial camera publishes them, to a real detector: 10 to 14 bits in the low end of 16-bit samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from support.paths import DATA, YOLOX_NANO

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.bit_depth import BitDepth
from isaac_inference.ops.image.encodings import to_color
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages import Postprocessor, Preprocessor, detection_settings

PICTURES = sorted((DATA / 'coco' / 'eval').glob('*.jpg'))[:12]

pytestmark = pytest.mark.skipif(
    not (PICTURES and YOLOX_NANO.is_file()), reason=f'no {YOLOX_NANO}, or no pictures in {DATA / "coco" / "eval"}'
)


Detect = Callable[[RawImage], Detections]


@pytest.fixture(scope='module')
def detect() -> Iterator[Detect]:
    card = read_card(YOLOX_NANO)
    preprocess, postprocess = Preprocessor(card), Postprocessor(card, detection_settings(card))
    with create_engine(card, threads=1) as engine:

        def run(image: RawImage) -> Detections:
            tensors, letterbox = preprocess(*to_color(image, preprocess.wanted))
            return postprocess(engine.infer(tensors), letterbox)

        yield run


def mosaics(encoding: str) -> Iterator[np.ndarray]:
    """(H, W) uint8: what a grey camera, or one with a Bayer pattern of red first, has of each photo."""
    for path in PICTURES:
        photo = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        mosaic = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
        if encoding.startswith('bayer'):
            mosaic = photo[..., 1].copy()
            mosaic[0::2, 0::2], mosaic[1::2, 1::2] = photo[0::2, 0::2, 2], photo[1::2, 1::2, 0]
        yield mosaic


@pytest.mark.parametrize('bits', [10, 12, 14])
@pytest.mark.parametrize('encoding', ['mono', 'bayer_rggb'])
def test_the_boxes_are_those_of_8_bits(detect: Detect, encoding: str, bits: int) -> None:
    rng = np.random.default_rng(0)
    found = 0
    for mosaic in mosaics(encoding):
        low_bits = rng.integers(0, 1 << bits - 8, mosaic.shape, np.uint16)  # that 8 bits cannot show
        image = RawImage.from_array((mosaic.astype(np.uint16) << bits - 8) + low_bits, f'{encoding}16')
        expected = detect(RawImage.from_array(mosaic, f'{encoding}8'))
        seen = detect(BitDepth()(image))
        np.testing.assert_allclose(seen.boxes, expected.boxes, atol=0.01)
        np.testing.assert_allclose(seen.scores, expected.scores, atol=1e-4)
        assert seen.class_ids.tolist() == expected.class_ids.tolist()
        found += len(expected)
    assert found > 10


def test_10_bits_read_as_16_are_black(detect: Detect) -> None:
    """Why it matters: what the same photos gave when the upper byte was taken."""
    right = sum(len(detect(RawImage.from_array(mosaic, 'mono8'))) for mosaic in mosaics('mono'))
    wide = [RawImage.from_array(mosaic.astype(np.uint16) << 2, 'mono16') for mosaic in mosaics('mono')]
    assert sum(len(detect(image)) for image in wide) < right / 5
    assert sum(len(detect(BitDepth()(image))) for image in wide) == right
