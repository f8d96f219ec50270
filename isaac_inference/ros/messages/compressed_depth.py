# SPDX-License-Identifier: Apache-2.0
"""Depth frames out of what a depth topic gave: raw, or image_transport's compressedDepth."""

from __future__ import annotations

from sensor_msgs.msg import CompressedImage

from isaac_inference.ops.depth.compressed_depth import decode_compressed_depth
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.ros.messages.image import ImageFrame, byte_view


def depth_frame_of(item: ImageFrame | CompressedImage) -> ImageFrame:
    """The frame itself, or a compressed message decoded, which takes milliseconds.

    Raises:
        FrameError: 'depth_format' or 'bad_compressed_depth', see `decode_compressed_depth`.
    """
    if isinstance(item, ImageFrame):
        return item
    depth, encoding = decode_compressed_depth(byte_view(item.data), item.format)
    return ImageFrame(item.header, RawImage.from_array(depth, encoding))
