# SPDX-License-Identifier: Apache-2.0
"""The names of encodings as drivers write them: any case, GenICam's pixel formats, V4L2's names of planar YUV.

`sensor_msgs/image_encodings.hpp` has no name for samples of 10, 12 or 14 bits, for packed ones, nor for planar YUV;
drivers then publish the name of the camera's pixel format (GenICam PFNC 2.4) or one made after ROS's own.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

BAYER_PATTERNS = ('rggb', 'bggr', 'gbrg', 'grbg')

# Lower case -> the name in `encodings.SUPPORTED_ENCODINGS`. GenICam names a Bayer pattern by its first two samples.
_ALIASES = {
    'bgr8packed': 'bgr8',
    'rgb8packed': 'rgb8',
    'bgra8packed': 'bgra8',
    'rgba8packed': 'rgba8',
    'i420': 'yuv420',
    'yu12': 'yuv420',
    'yuv420p': 'yuv420',
    'yuy2': 'yuyv',
    'yuv422_8': 'yuyv',
    'yuv422_yuyv_packed': 'yuyv',
    'ycbcr422_8': 'yuyv',
    'yuv422_8_uyvy': 'uyvy',
    'yuv422packed': 'uyvy',
}
_GENICAM_BAYER = {pattern[:2]: pattern for pattern in BAYER_PATTERNS}
_OPENCV = re.compile(r'(8|16|32|64)(uc|sc|fc)[1-4]')
_SENSOR = re.compile(
    rf'(?P<kind>mono|bayer_(?P<ros>{"|".join(BAYER_PATTERNS)})|bayer(?P<genicam>{"|".join(_GENICAM_BAYER)}))'
    r'(?P<bits>8|10|12|14|16)_?(?P<packing>p|packed)?'
)


@dataclass(frozen=True)
class EncodingName:
    """What an encoding's name says.

    Attributes:
        encoding: the name that this package has for the layout in memory: 'mono16' for 'Mono12'.
        bit_depth: significant bits of samples in 16-bit words, in their low end, where the name says it; else None.
    """

    encoding: str
    bit_depth: int | None = None


@functools.lru_cache(maxsize=256)
def read_name(encoding: str) -> EncodingName:
    """What an encoding's name says; a name that means nothing here is returned as it is.

    Example:
        >>> read_name('RGB8').encoding, read_name('BayerRG12p').encoding, read_name('8uc3').encoding
        ('rgb8', 'bayer_rggb12p', '8UC3')
        >>> read_name('bayer_rggb12')
        EncodingName(encoding='bayer_rggb16', bit_depth=12)
    """
    lower = encoding.lower()
    if _OPENCV.fullmatch(lower):
        return EncodingName(lower.upper())
    sensor = _SENSOR.fullmatch(lower)
    if sensor is None:
        return EncodingName(_ALIASES.get(lower, lower))
    pattern = sensor['ros'] or _GENICAM_BAYER.get(sensor['genicam'] or '', '')
    base = f'bayer_{pattern}' if pattern else 'mono'
    bits = int(sensor['bits'])
    if sensor['packing']:
        return EncodingName(f'{base}{bits}{sensor["packing"]}')
    return EncodingName(f'{base}{8 if bits == 8 else 16}', bits if 8 < bits < 16 else None)
