# SPDX-License-Identifier: Apache-2.0
"""Images as messages hold them, for tests of preprocessing, and cards that say what shall be done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.models import ModelCard, PreprocessSpec, read_card
from isaac_inference.ops.image.raw_image import RawImage
from support.cards import with_preprocess
from support.encodings import row_bytes, row_count
from support.onnx_models import write_model

NORMALISED = PreprocessSpec(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def card_with(folder: Path, kind: str = 'yolov8', preprocess: PreprocessSpec = NORMALISED, **options: Any) -> ModelCard:
    """The card of a tiny model, with what preprocessing shall do; the model goes to the folder."""
    card = read_card(write_model(folder / f'{kind}.onnx', kind, **options))
    return with_preprocess(card, preprocess)


def raw_image(
    encoding: str = 'bgr8',
    width: int = 100,
    height: int = 80,
    padding: int = 0,
    seed: int = 0,
    is_bigendian: bool = False,
) -> RawImage:
    """Noise as an image message holds it; `padding` bytes more per row than needed."""
    step = row_bytes(encoding, width) + padding
    data = np.random.default_rng(seed).integers(0, 256, step * row_count(encoding, height), np.uint8)
    return RawImage(data, encoding, height, width, step, is_bigendian)
