# SPDX-License-Identifier: Apache-2.0
"""One fixed picture as a case's network expects it, so that outputs can be compared between runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmark.families.case import Truth

_BLOCK = 32  # px, of one colour: noise of single pixels would average out in the first convolutions
_SEED = 7


def picture(wh: tuple[int, int]) -> np.ndarray:
    """[height, width, 3] uint8: squares of random colours, the same for every call with this size."""
    width, height = wh
    squares = np.random.default_rng(_SEED).integers(0, 256, (height // _BLOCK + 1, width // _BLOCK + 1, 3))
    return squares.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[:height, :width].astype(np.uint8)


def feeds(truth: Truth, inputs: Mapping[str, np.dtype]) -> dict[str, np.ndarray]:
    """Arrays by input name: the picture for the image, and the values that the case gives for other inputs.

    Args:
        truth: of the case.
        inputs: name of each of the file's inputs -> its dtype.
    """
    values = truth.feeds(truth.input_wh) if truth.feeds else {}
    how = truth.preprocess
    pixels = picture(truth.input_wh)
    found: dict[str, np.ndarray] = {}
    for name, dtype in inputs.items():
        if name in values:
            found[name] = values[name]
            continue
        image = pixels if dtype == np.uint8 else (pixels * how.scale - np.array(how.mean)) / np.array(how.std)
        image = image if truth.layout == 'NHWC' else image.transpose(2, 0, 1)
        if truth.layout != 'CHW':
            image = np.repeat(image[None], truth.batch, axis=0)
        found[name] = np.ascontiguousarray(image, dtype)
    return found
