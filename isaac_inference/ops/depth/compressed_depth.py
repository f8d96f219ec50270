# SPDX-License-Identifier: Apache-2.0
"""Depth images as image_transport's plugin 'compressedDepth' sends them: PNG or RVL, with a header of 12 bytes.

The header is an int32 (the kind of coding) and two float32, a and b. 16-bit depth is stored as it is. Float depth is
stored as 16-bit inverse depth q with depth = a / (q - b), in m; q = 0 is no reading.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.rvl import decode_rvl

_HEADER = np.dtype([('coding', '<i4'), ('a', '<f4'), ('b', '<f4')])
_PNG_MAGIC = b'\x89PNG'
_FORMAT = re.compile(
    r'(?P<encoding>\w+)\s*;\s*(?:compressedDepth\s*(?P<codec>\w*)|png compressed\s*\w*)\s*', re.IGNORECASE
)
_ENCODINGS = {'16uc1': '16UC1', 'mono16': 'mono16', '32fc1': '32FC1'}
_MOST_PIXELS = 1 << 26  # a damaged size is no reason to allocate gigabytes


def decode_compressed_depth(data: np.ndarray, stated_format: str) -> tuple[np.ndarray, str]:
    """Decodes a message of depth.

    Args:
        data: (n,) uint8, the message's bytes.
        stated_format: the message's `format`: '16UC1; compressedDepth png', '32FC1; compressedDepth rvl', without the
            codec (PNG), or '16UC1; png compressed', which the plugin 'compressed' makes, without a header.

    Returns:
        (H, W) uint16 or float32 (NaN: no reading), and its encoding: '16UC1', 'mono16' or '32FC1'.

    Raises:
        FrameError: 'depth_format' for another format, such as JPEG, which does not keep distances;
            'bad_compressed_depth' for data that cannot be decoded.

    Example:
        >>> _, png = cv2.imencode('.png', np.array([[0, 1500]], np.uint16))
        >>> data = np.append(np.zeros(12, np.uint8), png)
        >>> depth, encoding = decode_compressed_depth(data, '16UC1; compressedDepth png')
        >>> depth.tolist(), encoding
        ([[0, 1500]], '16UC1')
    """
    encoding, codec = _read_format(stated_format)
    if codec == 'png' and data[:4].tobytes() == _PNG_MAGIC:  # some drivers leave the header out
        header, body = np.zeros((), _HEADER), data
        if encoding == '32FC1':
            raise _bad(data, stated_format, 'no header, which has the scale of inverse depth')
    elif data.size <= _HEADER.itemsize:
        raise _bad(data, stated_format, 'shorter than the header')
    else:
        header, body = data[: _HEADER.itemsize].view(_HEADER)[0], data[_HEADER.itemsize :]
    stored = _decode_png(body) if codec == 'png' else _decode_rvl(body)
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 2:
        found = 'no picture' if stored is None else f'{stored.dtype} {stored.shape}'
        raise _bad(data, stated_format, f'expected one channel of 16 bits, got {found}')
    if encoding != '32FC1':
        return stored, encoding
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = header['a'] / (stored.astype(np.float32) - header['b'])
    depth[stored == 0] = np.nan
    return depth, encoding


def _read_format(stated_format: str) -> tuple[str, str]:
    found = _FORMAT.fullmatch(stated_format.strip())
    encoding = _ENCODINGS.get(found['encoding'].lower()) if found else None
    codec = (found['codec'] or 'png').lower() if found else ''
    if encoding is None or codec not in ('png', 'rvl'):
        raise FrameError(
            'depth_format',
            f"compressed depth: got format {stated_format!r}, expected '16UC1; compressedDepth png', or 32FC1, or rvl; "
            'remap depth/image to the topic whose compressedDepth is published (JPEG does not keep distances)',
        )
    return encoding, codec


def _decode_png(body: np.ndarray) -> np.ndarray | None:
    try:
        return cv2.imdecode(body, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _decode_rvl(body: np.ndarray) -> np.ndarray | None:
    """Width and height as uint32, then the words."""
    if body.size < 8:
        return None
    width, height = (int(value) for value in body[:8].view('<u4'))
    if not 0 < width * height <= _MOST_PIXELS:
        return None
    return decode_rvl(body[8:], width * height).reshape(height, width)


def _bad(data: np.ndarray, stated_format: str, what: str) -> FrameError:
    return FrameError(
        'bad_compressed_depth',
        f'compressed depth: got {data.size} bytes of format {stated_format!r} that cannot be decoded: {what}',
    )
