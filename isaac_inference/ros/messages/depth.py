# SPDX-License-Identifier: Apache-2.0
"""Depth images between arrays in metres and ImageFrame."""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ros.messages.image import ImageFrame, image_frame_from_array, plane_array


class DepthEncoding(str, Enum):
    """Encodings of depth that are written."""

    METRES = '32FC1'
    MILLIMETRES = '16UC1'


_DTYPES: dict[str, np.dtype] = {
    '32FC1': np.dtype(np.float32),
    '16UC1': np.dtype(np.uint16),
    'mono16': np.dtype(np.uint16),
}

_SPELLINGS = {name.lower(): name for name in _DTYPES}


def depth_frame(depth: np.ndarray, encoding: DepthEncoding, header: Header, size_wh: tuple[int, int]) -> ImageFrame:
    """A frame to publish.

    Args:
        depth: (H, W) float32 m, NaN for holes.
        encoding: of the frame; holes are NaN in metres, 0 in millimetres, where beyond 65.5 m is a hole too.
        header: the colour image's.
        size_wh: of the frame, px; another size takes the nearest pixels, since depths must not be mixed.
    """
    if size_wh != (depth.shape[1], depth.shape[0]):
        depth = cv2.resize(depth, size_wh, interpolation=cv2.INTER_NEAREST_EXACT)
    if encoding is DepthEncoding.MILLIMETRES:
        millimetres = np.round(depth * np.float32(1000.0))
        millimetres[~((millimetres > 0) & (millimetres < 65535))] = 0
        depth = millimetres.astype(np.uint16)
    return image_frame_from_array(depth, encoding.value, header)


def depth_array(frame: ImageFrame) -> np.ndarray:
    """The (H, W) float32 or uint16 values of a frame, unconverted; a view where rows have no padding.

    Raises:
        FrameError: 'depth_encoding' for an encoding that isn't depth, 'bad_image' where bytes and sizes don't fit.
    """
    image, encoding = frame.image, depth_encoding(frame)
    dtype = _DTYPES.get(encoding)
    if dtype is None:
        raise FrameError(
            'depth_encoding',
            f'depth image: got encoding {image.encoding!r}, expected 16UC1 or mono16 (mm) or 32FC1 (m); is the depth '
            'topic remapped to a colour image?',
        )
    return plane_array(frame, dtype, 'depth image')


def depth_encoding(frame: ImageFrame) -> str:
    """A frame's encoding in the spelling of sensor_msgs, '32FC1' for '32fc1'; as it came where it isn't depth."""
    return _SPELLINGS.get(frame.image.encoding.lower(), frame.image.encoding)
