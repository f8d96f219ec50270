# SPDX-License-Identifier: Apache-2.0
"""How the rows of an image message lie in memory, written down apart from the code under test."""

from __future__ import annotations

YUV = {'uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'yvyu', 'nv12', 'nv21', 'nv24', 'yuv420', 'yv12'}
PLANAR = {'yuv420', 'yv12'}  # chroma rows of half a step, u and v apart
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
PACKED_16 = {
    'bgr16': 'bgr',
    'rgb16': 'rgb',
    '16UC3': 'bgr',
    'bgra16': 'bgra',
    'rgba16': 'rgba',
    '16UC4': 'bgra',
    'mono16': 'm',
}
# Bits that a sample takes in a row, where samples share bytes: GenICam's '12p' and GigE Vision's 'packed'.
GAPLESS = {'10p': 10, '12p': 12, '10packed': 12, '12packed': 12}


def row_bytes(encoding: str, width: int) -> int:
    """Bytes of one row without padding."""
    encoding = {'RGB8': 'rgb8', 'BayerRG12p': 'bayer_rggb12p'}.get(encoding, encoding)
    if encoding in PACKED:
        return width * len(PACKED[encoding])
    if encoding in PACKED_16:
        return width * len(PACKED_16[encoding]) * 2
    for suffix, bits in GAPLESS.items():
        if encoding.endswith(suffix):
            return -(-width * bits // 8)
    if encoding.startswith('nv') or encoding in PLANAR:
        return width
    if encoding == '32FC3':
        return width * 12
    return width * (2 if encoding in YUV or encoding.endswith('16') else 1)


def row_count(encoding: str, height: int) -> int:
    """Rows of `data`: more than the height where the chroma lies below."""
    if encoding in PLANAR or encoding in ('nv12', 'nv21'):
        return height * 3 // 2
    return height * 3 if encoding == 'nv24' else height
