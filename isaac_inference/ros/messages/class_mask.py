# SPDX-License-Identifier: Apache-2.0
"""Class masks as sensor_msgs/Image beside a latched vision_msgs/LabelInfo, and back.

A mask has the size, stamp and frame of the image it was made from. Its encoding is mono8, or 16UC1 for more than 255
classes; the highest number of the encoding, 255 or 65535, is a pixel without a class, and `label_info` names it
`unlabelled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from isaac_inference.errors import FrameError
from isaac_inference.ops.segmentation.unlabelled import NAME, mask_dtype, unlabelled
from isaac_inference.ros.messages.image import ImageFrame, image_frame_from_array

CLASS_MASK = 'class_mask'
CLASS_CONFIDENCE = 'class_confidence'
LABEL_INFO = 'label_info'

_ENCODINGS = {'uint8': 'mono8', 'uint16': '16UC1'}
_DTYPES: dict[str, np.dtype] = {
    **dict.fromkeys(('mono8', '8uc1'), np.dtype(np.uint8)),
    **dict.fromkeys(('16uc1', 'mono16'), np.dtype(np.uint16)),
}


def class_mask_frame(mask: np.ndarray, header: Header) -> ImageFrame:
    """A frame over a mask, (H, W) uint8 or uint16, or over its confidence, (H, W) uint8, without a copy."""
    return image_frame_from_array(mask, _ENCODINGS[mask.dtype.name], header)


def class_mask_array(frame: ImageFrame) -> np.ndarray:
    """The (H, W) uint8 or uint16 class ids of a frame; a view where rows have no padding.

    Raises:
        FrameError: 'mask_encoding' for an encoding that holds no classes, 'bad_image' where bytes and size do not fit.
    """
    image = frame.image
    dtype = _DTYPES.get(image.encoding.lower())
    if dtype is None:
        raise FrameError(
            'mask_encoding',
            f'class mask: got encoding {image.encoding!r}, expected mono8 or 16UC1; is the topic remapped to a colour '
            'image?',
        )
    row = image.width * dtype.itemsize
    step = image.step or row
    if image.height < 1 or image.width < 1 or step < row or image.data.size < step * image.height:
        raise FrameError(
            'bad_image',
            f'class mask: {image.data.size} bytes with step {image.step} for {image.width}x{image.height} '
            f'{image.encoding}, expected at least {row} bytes per row; look at the node that publishes it',
        )
    rows = image.data[: step * image.height].reshape(image.height, step)[:, :row]
    order: Literal['>', '<'] = '>' if image.is_bigendian else '<'
    return np.ascontiguousarray(rows).view(dtype.newbyteorder(order)).astype(dtype, copy=False)


def label_info(stamp: Time, names: Sequence[str], threshold: float) -> LabelInfo:
    """The names of a mask's ids, and of the id of pixels without a class; `threshold` is the least confidence."""
    classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(names)]
    classes.append(VisionClass(class_id=unlabelled(mask_dtype(len(names))), class_name=NAME))
    return LabelInfo(header=Header(stamp=stamp), class_map=classes, threshold=threshold)


def labels_of(message: LabelInfo) -> dict[int, str]:
    """Id -> class name, without `unlabelled`."""
    return {item.class_id: item.class_name for item in message.class_map if item.class_name != NAME}
