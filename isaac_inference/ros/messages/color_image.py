# SPDX-License-Identifier: Apache-2.0
"""From a frame off a topic to a colour image, by our own converter or by cv_bridge."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS, ColorOrder, to_color
from isaac_inference.ros.messages.cv_bridge_fallback import decode_with_cv_bridge
from isaac_inference.ros.messages.image import ImageFrame


def color_image(frame: ImageFrame, wanted: ColorOrder) -> tuple[np.ndarray, ColorOrder]:
    """(H, W, 3) uint8 and the order of its channels, which is `wanted` unless that would have cost a copy.

    The array may be a view of the frame's bytes: don't write to it.

    Raises:
        FrameError: the frame's size, step, data or encoding can't be used.
    """
    if frame.encoding not in SUPPORTED_ENCODINGS:
        return decode_with_cv_bridge(frame), ColorOrder.BGR
    return to_color(
        frame.data,
        encoding=frame.encoding,
        height=frame.height,
        width=frame.width,
        step=frame.step,
        is_bigendian=frame.is_bigendian,
        wanted=wanted,
    )
