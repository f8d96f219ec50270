# SPDX-License-Identifier: Apache-2.0
"""What the preprocessing kernel must know of an image: where its samples lie and what becomes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages.image.gpu_taps import TAP, Mode, sampling

# The struct `Arguments` of cuda/kernels/preprocess.cu, where each field is explained.
ARGUMENTS = np.dtype(
    [
        ('image', '<u8'),
        *((name, '<i8') for name in ('step', 'chroma_start', 'chroma_step')),
        *((name, '<i4') for name in ('kind', 'mode', 'stride')),
        ('offset', '<i4', (3,)),
        *((name, '<i4') for name in ('chroma_stride', 'shift_x', 'shift_y', 'red_x', 'red_y', 'width', 'height')),
        *((name, '<i4') for name in ('low_byte', 'shift')),
        *((name, '<i4') for name in ('left', 'top', 'right', 'bottom', 'rgb', 'pad')),
        ('block_scale', '<f4'),
        *((name, '<u8') for name in ('map', 'part')),
    ]
)

_PACKED, _YUV, _YUV_FULL, _BAYER = range(4)  # the kernel's enum Kind

# Encoding -> the samples of a pixel in memory; 'm' is all three colours, 'x' none. Their 16-bit kinds follow below.
_PACKED_NAMES = {
    'bgr8': 'bgr',
    'rgb8': 'rgb',
    '8UC3': 'bgr',
    'bgra8': 'bgrx',
    'rgba8': 'rgbx',
    '8UC4': 'bgrx',
    'mono8': 'm',
    '8UC1': 'm',
    'bgr16': 'bgr',
    'rgb16': 'rgb',
    'bgra16': 'bgrx',
    'rgba16': 'rgbx',
    '16UC3': 'bgr',
    '16UC4': 'bgrx',
    'mono16': 'm',
}
# Encoding -> offsets of y in a pixel, of u and v in the four bytes that two pixels share.
_YUV_422 = {
    'uyvy': (1, 0, 2),
    'yuv422': (1, 0, 2),
    'yuyv': (0, 1, 3),
    'yuv422_yuy2': (0, 1, 3),
    'yvyu': (0, 3, 1),
}
# Encoding -> offsets of y, u and v in their planes.
_YUV_420 = {'nv12': (0, 0, 1), 'nv21': (0, 1, 0)}
_PLANAR = ('yuv420', 'yv12')  # u and v have planes of their own
_BAYER_NAMES = {f'bayer_{pattern}{bits}': pattern for pattern in ('rggb', 'bggr', 'gbrg', 'grbg') for bits in (8, 16)}

KNOWN_ENCODINGS = frozenset({*_PACKED_NAMES, *_YUV_422, *_YUV_420, *_PLANAR, 'nv24', *_BAYER_NAMES})


def arguments_bytes(input_wh: tuple[int, int]) -> int:
    """Length of what `write_arguments` makes for a model input of (width, height)."""
    return ARGUMENTS.itemsize + sum(input_wh) * TAP.itemsize


def write_arguments(letterbox: Letterbox, spec: PreprocessSpec, image: RawImage, address: int) -> np.ndarray:
    """The kernel's arguments for all images of one size and encoding.

    Args:
        letterbox: where the image goes on the model's input.
        spec: how it gets there.
        image: one of these images, `encodings.readable`; its bytes are not read.
        address: where the kernel finds the first byte of each.

    Returns:
        (arguments_bytes(input_wh),) uint8: `ARGUMENTS`, then a `TAP` for each column and each row of the model's input.
    """
    (x0, x1, left, right), (y0, y1, top, bottom) = letterbox.axes
    width, height = letterbox.source_wh
    mode, (across, down) = sampling(spec.interpolation, (x1 - x0, y1 - y0), (right - left, bottom - top))
    data = np.zeros(arguments_bytes(letterbox.input_wh), np.uint8)
    taps = data[ARGUMENTS.itemsize :].view(TAP)
    input_width = letterbox.input_wh[0]
    taps[:input_width][left:right], taps[input_width:][top:bottom] = across, down
    taps['start'][:input_width] += x0
    taps['start'][input_width:] += y0
    arguments = data[: ARGUMENTS.itemsize].view(ARGUMENTS)
    values: dict[str, Any] = {
        **_image_fields(image),
        'image': address,
        'step': image.step,
        'mode': mode,
        'width': width,
        'height': height,
        'left': x0,
        'top': y0,
        'right': x1 - 1,
        'bottom': y1 - 1,
        'rgb': spec.color is ColorOrder.RGB,
        'pad': spec.pad_value,
    }
    if mode is Mode.BLOCK:
        values['block_scale'] = np.float32(1) / np.float32(int(across['count'][0]) * int(down['count'][0]))
    for name, value in values.items():
        arguments[name] = value
    return data


def write_map_arguments(spec: PreprocessSpec, image: RawImage, address: int, places: int, parts: int) -> np.ndarray:
    """The kernel's arguments for all images of one size and encoding that are sampled by a map.

    Args:
        spec: how it gets to the model's input; its interpolation is the map's own.
        image: one of these images, `encodings.readable`; its bytes are not read.
        address: where the kernel finds the first byte of each.
        places, parts: where it finds the two arrays of a `PixelMap` of the tensor's size.

    Returns:
        (ARGUMENTS.itemsize,) uint8: the `ARGUMENTS`; there are no taps.
    """
    data = np.zeros(ARGUMENTS.itemsize, np.uint8)
    arguments = data.view(ARGUMENTS)
    values: dict[str, Any] = {
        **_image_fields(image),
        'image': address,
        'step': image.step,
        'width': image.width,
        'height': image.height,
        'rgb': spec.color is ColorOrder.RGB,
        'pad': spec.pad_value,
        'map': places,
        'part': parts,
    }
    for name, value in values.items():
        arguments[name] = value
    return data


def _image_fields(image: RawImage) -> dict[str, Any]:
    """Where the samples lie, by the encoding."""
    encoding, step = image.encoding, image.step
    wide = _wide_fields(image) if '16' in encoding else {}
    sample_bytes, upper = (2, int(not image.is_bigendian)) if wide else (1, 0)
    if encoding in _PACKED_NAMES:
        names = _PACKED_NAMES[encoding]
        places = [0, 0, 0] if names == 'm' else [names.index(color) for color in 'bgr']
        return {
            'kind': _PACKED,
            'stride': len(names) * sample_bytes,
            'offset': [place * sample_bytes + upper for place in places],
            **wide,
        }
    if encoding in _BAYER_NAMES:
        red_y, red_x = divmod(_BAYER_NAMES[encoding].index('r'), 2)
        return {'kind': _BAYER, 'stride': sample_bytes, 'offset': [upper] * 3, 'red_x': red_x, 'red_y': red_y, **wide}
    if encoding in _YUV_422:
        fields = {'stride': 2, 'offset': _YUV_422[encoding], 'chroma_step': step, 'chroma_stride': 4, 'shift_x': 1}
        return {'kind': _YUV, **fields}
    fields = {'stride': 1, 'chroma_start': image.height * step, 'chroma_stride': 2}
    if encoding == 'nv24':
        return {'kind': _YUV_FULL, 'offset': (0, 0, 1), 'chroma_step': 2 * step, **fields}
    if encoding in _PLANAR:
        second = image.height // 2 * (step // 2)
        offset = (0, 0, second) if encoding == 'yuv420' else (0, second, 0)
        fields |= {'offset': offset, 'chroma_step': step // 2, 'chroma_stride': 1, 'shift_x': 1, 'shift_y': 1}
        return {'kind': _YUV, **fields}
    return {'kind': _YUV, 'offset': _YUV_420[encoding], 'chroma_step': step, 'shift_x': 1, 'shift_y': 1, **fields}


def _wide_fields(image: RawImage) -> dict[str, Any]:
    """What 16-bit samples need beside the place of their upper byte; where all bits are significant it is enough."""
    bit_depth = image.bit_depth or 16
    whole = bit_depth == 16
    return {'low_byte': 0 if whole else 1 if image.is_bigendian else -1, 'shift': bit_depth - 8}
