# SPDX-License-Identifier: Apache-2.0
"""An encoder of RVL and of compressedDepth, written after the description, pixel by pixel."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cv2
import numpy as np


def encode_rvl(pixels: np.ndarray) -> bytes:
    """(n,) uint16 to RVL's words."""
    nibbles = [nibble for number in _numbers(pixels.ravel().tolist()) for nibble in _nibbles(number)]
    nibbles += [0] * (-len(nibbles) % 8)
    words = (nibbles[at : at + 8] for at in range(0, len(nibbles), 8))
    return b''.join(struct.pack('<I', int(''.join(f'{nibble:x}' for nibble in word), 16)) for word in words)


def compressed_depth(depth: np.ndarray, codec: str, max_m: float = 10.0, quantization: float = 100.0) -> bytes:
    """What the plugin sends of (H, W) uint16 or float32 depth; float depth beyond `max_m` is lost."""
    a, b = 0.0, 0.0
    if depth.dtype == np.float32:
        a = quantization * (quantization + 1)
        b = 1 - a / max_m
        with np.errstate(invalid='ignore', divide='ignore'):
            depth = np.where(depth < max_m, a / depth + b, 0).astype(np.uint16)
    body = cv2.imencode('.png', depth)[1].tobytes()
    if codec == 'rvl':
        body = struct.pack('<II', depth.shape[1], depth.shape[0]) + encode_rvl(depth)
    return struct.pack('<iff', 0, a, b) + body


def _numbers(pixels: list[int]) -> Iterator[int]:
    at, before = 0, 0
    while at < len(pixels):
        zeros = at
        while zeros < len(pixels) and pixels[zeros] == 0:
            zeros += 1
        others = zeros
        while others < len(pixels) and pixels[others] != 0:
            others += 1
        yield zeros - at
        yield others - zeros
        for value in pixels[zeros:others]:
            difference, before = value - before, value
            yield 2 * difference if difference >= 0 else -2 * difference - 1
        at = others


def _nibbles(number: int) -> Iterator[int]:
    while number >= 8:
        yield number % 8 + 8
        number //= 8
    yield number
