# SPDX-License-Identifier: Apache-2.0
"""cv_bridge, for the rare encodings that our own converter doesn't know, and only where it is installed."""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS
from isaac_inference.ros.messages.image import ImageFrame, to_image_message


def decode_with_cv_bridge(frame: ImageFrame) -> np.ndarray:
    """(H, W, 3) uint8 BGR.

    Raises:
        FrameError: 'unknown_encoding' where cv_bridge is missing or doesn't know the encoding either.
    """
    known = f'this node knows {", ".join(sorted(SUPPORTED_ENCODINGS))}'
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise FrameError(
            'unknown_encoding',
            f'image encoding {frame.encoding!r}: {known}; have the camera publish one '
            'of these, or install cv_bridge for others',
        ) from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(to_image_message(frame), desired_encoding='bgr8'))
    except Exception as error:
        raise FrameError(
            'unknown_encoding',
            f'image encoding {frame.encoding!r}: cv_bridge could not convert it to bgr8 ({error}); {known}',
        ) from error
