# SPDX-License-Identifier: Apache-2.0
"""The masks of a frame's objects as sensor_msgs/Image, and back.

One image of encoding 16UC1, with size, stamp and frame of the image that the objects were found in. A pixel holds i + 1
where it shows detection i of the array of the same stamp, 0 where it shows none; where masks overlap, the higher score
wins. It is published before those detections.

What filters or reorders detections on their way must keep their number and order, or the masks belong to others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.masks import Masks
from isaac_inference.ops.masks.rows import check_count
from isaac_inference.ros.messages.detections import SeenBox
from isaac_inference.ros.messages.image import ImageFrame, image_frame_from_array, plane_array

INSTANCE_MASK = 'instance_mask'
"""The topic of the masks."""
ENCODING = '16UC1'
_KNOWN = ('16uc1', 'mono16')


def instance_frame(header: Header, image: np.ndarray) -> ImageFrame:
    """A frame over an image of instances, (H, W) uint16 as `Masks.painted` makes it, without a copy."""
    return image_frame_from_array(image, ENCODING, header)


def instance_array(frame: ImageFrame) -> np.ndarray:
    """The (H, W) uint16 of a frame; a view where rows have no padding.

    Raises:
        FrameError: 'mask_encoding' (no instances are in such), 'bad_image' (bytes and size do not fit).
    """
    if frame.image.encoding.lower() not in _KNOWN:
        raise FrameError(
            'mask_encoding',
            f'instance mask: got encoding {frame.image.encoding!r}, expected {ENCODING}; is the topic remapped to a '
            'colour image, or to a class mask?',
        )
    return plane_array(frame, np.dtype(np.uint16), 'instance mask')


def read_masks(
    frame: ImageFrame, seen: Sequence[SeenBox], count: int, image_wh: tuple[int, int] | None = None
) -> Masks:
    """The mask of each of these detections, in their order; empty where none of its pixels is in its box.

    Args:
        frame: the message.
        seen: detections of the array of the same stamp.
        count: detections in that array.
        image_wh: (width, height) in px of the image that they were found in; None where that is not known.

    Raises:
        FrameError: 'mask_encoding', 'bad_image', 'mask_size' (of another image) or 'mask_count' (of other detections:
            it holds numbers beyond them).
    """
    image = instance_array(frame)
    if image_wh is not None and image.shape != image_wh[::-1]:
        raise FrameError(
            'mask_size',
            f'instance mask: got {image.shape[1]}x{image.shape[0]} pixels, expected {image_wh[0]}x{image_wh[1]}, those '
            'of the image; remap it to the masks that were made from this image',
        )
    check_count(image, count)
    boxes = np.array([item.box for item in seen], np.float64).reshape(-1, 4)
    return Masks.of_image(image, boxes, [item.index + 1 for item in seen])
