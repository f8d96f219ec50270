# SPDX-License-Identifier: Apache-2.0
"""How the rows of an image message lie in memory, written down apart from the code under test."""

from __future__ import annotations

YUV = {'uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24'}
# Channels of the packed encodings as they follow each other in memory.
PACKED = {
    'bgr8': 'bgr',
    'rgb8': 'rgb',
    '8UC3': 'bgr',
    'bgra8': 'bgra',
    'rgba8': 'rgba',
    '8UC4': 'bgra',
    'mono8': 'm',
    '8UC1': 'm',
}
PACKED_16 = {'bgr16': 'bgr', 'rgb16': 'rgb', 'bgra16': 'bgra', 'rgba16': 'rgba', 'mono16': 'm'}


def row_bytes(encoding: str, width: int) -> int:
    """Bytes of one row without padding."""
    if encoding in PACKED:
        return width * len(PACKED[encoding])
    if encoding in PACKED_16:
        return width * len(PACKED_16[encoding]) * 2
    if encoding.startswith('nv'):
        return width
    return width * (2 if encoding in YUV or encoding.endswith('16') else 1)


def row_count(encoding: str, height: int) -> int:
    """Rows of `data`: more than the height where the chroma lies below."""
    return {'nv12': height * 3 // 2, 'nv21': height * 3 // 2, 'nv24': height * 3}.get(encoding, height)
