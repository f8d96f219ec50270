# SPDX-License-Identifier: Apache-2.0
"""The bytes of a `sensor_msgs/CompressedImage` as an image: JPEG, PNG, TIFF and what else OpenCV reads.

Pixels come as they are stored: an orientation in EXIF is ignored, since boxes, intrinsics and depth are of the camera's
pixels. `format` is what image_transport's plugin 'compressed' writes, '<encoding of the camera>; jpeg compressed
<encoding in the file>', or whatever the driver says. The file's channels are in the order of the encoding after
'compressed', where OpenCV writes the first one as blue: for 'rgb8' the file has red and blue exchanged. Without one it
holds the samples of the camera's encoding as they were (TIFF, Bayer patterns in PNG). A format that names no encoding,
such as 'jpeg', leaves the file to speak for itself.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.encoding_names import read_name
from isaac_inference.ops.image.raw_image import RawImage

_STORED = re.compile(r'\bcompressed\s*(\w*)')
_VIDEO = re.compile(r'h\.?26[345]|x26[45]|hevc|\bavc|\bav1|vp[89]|mpeg-?[24]|theora', re.IGNORECASE)
_START_CODES = (b'\0\0\0\1', b'\0\0\1')  # what a stream of H.264 or H.265 begins with (Annex B)
_BITS = {np.dtype(np.uint8): '8', np.dtype(np.uint16): '16'}
_JPEG_ADVICE = 'have the driver publish raw images or JPEG ones (format "jpeg") as well'


def decode_compressed(data: Any, stated_format: str = '') -> RawImage:
    """Decodes an image file held in memory.

    Args:
        data: the file's bytes: `array.array('B')`, bytes, memoryview or a uint8 array.
        stated_format: the message's `format`.

    Returns:
        The image, in whichever encoding it was stored: 8 or 16 bits, grey, colour, with alpha, or a Bayer pattern.

    Raises:
        FrameError: 'video_packet' for a frame of H.264 or another video codec, which only its predecessors make a
            picture, 'depth_image', or 'bad_compressed_image' where OpenCV cannot read it.

    Example:
        >>> _, png = cv2.imencode('.png', np.array([[[1, 2, 3]]], np.uint8))
        >>> image = decode_compressed(png, 'rgb8; png compressed bgr8')
        >>> image.encoding, image.data.tolist()
        ('bgr8', [1, 2, 3])
        >>> decode_compressed(png, 'rgb8; png compressed rgb8').encoding
        'rgb8'
    """
    _refuse_video(stated_format)
    if 'compresseddepth' in stated_format.lower():
        raise FrameError(
            'depth_image', f'compressed image: format {stated_format!r} is depth; remap image to the colour topic'
        )
    try:
        file = np.frombuffer(data, np.uint8)
        image = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)  # which ignores EXIF's orientation
    except (cv2.error, TypeError, ValueError, BufferError) as error:
        raise _undecodable(data, stated_format) from error
    if image is None:
        if file[:4].tobytes().startswith(_START_CODES):
            raise _video(f'the data are a video stream (format {stated_format!r})')
        raise _undecodable(data, stated_format)
    return RawImage.from_array(image, _encoding(image, stated_format))


def _encoding(image: np.ndarray, stated_format: str) -> str:
    """What a decoded file holds, by its type and channels and what the format says of their order."""
    stored = _stored(stated_format)
    if (bits := _BITS.get(image.dtype)) is None:
        return f'{8 * image.itemsize}FC{1 if image.ndim == 2 else image.shape[2]}'
    if image.ndim == 3:
        alpha = 'a' if image.shape[2] == 4 else ''
        return f'{"rgb" if stored.startswith("rgb") else "bgr"}{alpha}{bits}'
    if stored.startswith('bayer_'):
        return f'{stored[:10]}{bits}'
    return '16UC1' if (stored, bits) == ('16UC1', '16') else f'mono{bits}'


def _stored(stated_format: str) -> str:
    """The encoding that the file's samples have, by this package's name; '' where the format does not say."""
    encoding, _, rest = stated_format.partition(';')
    named = _STORED.search(rest)
    return read_name(named[1] or encoding.strip()).encoding if named else ''


def _refuse_video(stated_format: str) -> None:
    if _VIDEO.search(stated_format):
        raise _video(f'format {stated_format!r} is a video codec')


def _video(what: str) -> FrameError:
    return FrameError(
        'video_packet',
        f'compressed image: {what}, whose packets are no pictures by themselves; expected a JPEG or PNG file; '
        f'{_JPEG_ADVICE}, or decode the stream to an Image topic and remap image to that',
    )


def _undecodable(data: Any, stated_format: str) -> FrameError:
    size = len(data) if hasattr(data, '__len__') else 'no'
    return FrameError(
        'bad_compressed_image',
        f'compressed image: got {size} bytes of format {stated_format!r} that OpenCV cannot decode, expected a whole '
        f'JPEG or PNG file; check the format field and the transport, or {_JPEG_ADVICE}',
    )
