# SPDX-License-Identifier: Apache-2.0
"""Camera images inside a process: the message's fields, a view of its bytes, and the colour image in them."""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.compressed import decode_compressed
from isaac_inference.ops.image.encodings import KNOWN, to_color
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain


@dataclass(frozen=True, eq=False)
class ImageFrame:
    """A `sensor_msgs/Image`, or a decoded CompressedImage, whose bytes are a NumPy view.

    Attributes:
        header: the message's.
        image: the message's other fields. `data` is (n,) uint8; it belongs to whoever made the frame (the camera
            node, or the received message) and is not written to while anybody holds the frame. Nothing here is
            checked: `step`, `height` and the length of `data` are as they arrived.
    """

    header: Header
    image: RawImage


def image_frame_from_array(image: np.ndarray, encoding: str, header: Header) -> ImageFrame:
    """A frame over `image` ((H, W) or (H, W, C), uint8 or uint16, C-contiguous), without a copy."""
    return ImageFrame(header, RawImage.from_array(image, encoding))


def to_image_message(frame: ImageFrame) -> Image:
    """The message to serialise: one copy of the bytes into the array type that rclpy takes unchecked."""
    image = frame.image
    message = Image(
        header=frame.header,
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        is_bigendian=int(image.is_bigendian),
        step=image.step,
    )
    message.data = byte_array(image.data)
    return message


def from_image_message(message: Image) -> ImageFrame:
    """A view of a received message."""
    image = RawImage(
        byte_view(message.data),
        message.encoding,
        message.height,
        message.width,
        message.step,
        bool(message.is_bigendian),
    )
    return ImageFrame(message.header, image)


def image_frame(item: ImageFrame | CompressedImage) -> ImageFrame:
    """What a topic of images gave: the frame itself, or a compressed message decoded, which takes milliseconds.

    Raises:
        FrameError: 'bad_compressed_image', 'video_packet' or 'depth_image', see `decode_compressed`.
    """
    if isinstance(item, ImageFrame):
        return item
    return ImageFrame(item.header, decode_compressed(byte_view(item.data), item.format))


def plane_array(frame: ImageFrame, dtype: np.dtype, what: str) -> np.ndarray:
    """The (H, W) values of an image of one channel, in the machine's byte order; a view where rows have no padding.

    Args:
        frame: the image, whose encoding is known to be of `dtype`.
        dtype: of a sample.
        what: the image, for the error.

    Raises:
        FrameError: 'bad_image' where bytes and sizes do not fit.
    """
    image = frame.image
    row = image.width * dtype.itemsize
    is_tight = image.step == 0 and image.data.size == row * image.height
    step = row if is_tight else image.step
    if image.height < 1 or image.width < 1 or step < row or image.data.size < step * image.height:
        raise FrameError(
            'bad_image',
            f'{what}: {image.data.size} bytes with step {image.step} for {image.width}x{image.height} '
            f'{image.encoding}, expected at least {row} bytes per row; look at the node that publishes it',
        )
    rows = image.data[: step * image.height].reshape(image.height, step)[:, :row]
    order: Literal['>', '<'] = '>' if image.is_bigendian else '<'
    return np.ascontiguousarray(rows).view(dtype.newbyteorder(order)).astype(dtype, copy=False)


def color_image(frame: ImageFrame, wanted: ColorOrder) -> tuple[np.ndarray, ColorOrder]:
    """(H, W, 3) uint8 and the order of its channels, which is `wanted` unless that would have cost a copy.

    The array may be a view of the frame's bytes: don't write to it.

    Raises:
        FrameError: the frame's size, step, data or encoding can't be used.
    """
    try:
        return to_color(frame.image, wanted)
    except FrameError as error:
        if error.reason != 'unknown_encoding':
            raise
    return _decode_with_cv_bridge(frame), ColorOrder.BGR


def _decode_with_cv_bridge(frame: ImageFrame) -> np.ndarray:
    """(H, W, 3) uint8 BGR, by cv_bridge where it is installed: for encodings that our own converter doesn't know.

    Raises:
        FrameError: 'unknown_encoding' where cv_bridge is missing or doesn't know the encoding either.
    """
    known = f'this node knows {KNOWN}'
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise FrameError(
            'unknown_encoding',
            f'image encoding {frame.image.encoding!r}: {known}; have the camera publish one '
            'of these, or install cv_bridge for others',
        ) from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(to_image_message(frame), desired_encoding='bgr8'))
    except Exception as error:
        raise FrameError(
            'unknown_encoding',
            f'image encoding {frame.image.encoding!r}: cv_bridge could not convert it to bgr8 ({error}); {known}',
        ) from error


def byte_array(data: np.ndarray) -> array.array[int]:
    """`data`'s bytes as array('B'): rclpy checks any other type element by element."""
    result = array.array('B')
    if data.size:
        result.frombytes(np.ascontiguousarray(data).data.cast('B'))
    return result


def byte_view(data: Any) -> np.ndarray:
    """(n,) uint8 view of a message's byte sequence; a copy only where rclpy made a plain list of it."""
    return np.frombuffer(data if isinstance(data, (array.array, bytes)) else bytes(data), np.uint8)


IMAGE: TypeAdapter[ImageFrame] = TypeAdapter('Image', Image, to_image_message, from_image_message)
COMPRESSED_IMAGE: TypeAdapter[CompressedImage] = plain(CompressedImage)
