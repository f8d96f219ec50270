# SPDX-License-Identifier: Apache-2.0
"""Compressed images as image_transport's plugin and drivers write them, back to the camera's pixels."""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.bit_depth import BitDepth
from isaac_inference.ops.image.compressed import decode_compressed
from isaac_inference.ops.image.encodings import to_color
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage

RNG = np.random.default_rng(0)
BGR = cv2.resize(RNG.integers(0, 256, (4, 6, 3), np.uint8), (96, 64), interpolation=cv2.INTER_NEAREST)
GREY, ALPHA = BGR[..., 0].copy(), np.dstack((BGR, BGR[..., 1]))


def coded(extension: str, image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(extension, image)[1].tobytes())


def as_bgr(data: bytes, stated_format: str) -> np.ndarray:
    image, order = to_color(BitDepth()(decode_compressed(data, stated_format)), ColorOrder.BGR)
    return image if order is ColorOrder.BGR else image[..., ::-1]


@pytest.mark.parametrize('extension', ['.png', '.jpg', '.bmp', '.tiff'])
def test_kinds_of_files_and_buffers(extension: str) -> None:
    image = np.full((16, 24, 3), (200, 120, 40), np.uint8)
    data = coded(extension, image)
    for buffer in (data, np.frombuffer(data, np.uint8), array.array('B', data)):
        decoded = decode_compressed(buffer)
        assert (decoded.encoding, decoded.width, decoded.height, decoded.step) == ('bgr8', 24, 16, 72)
        np.testing.assert_allclose(decoded.data.reshape(16, 24, 3), image, atol=3)


@pytest.mark.parametrize(
    ('stated_format', 'stored'),
    [
        # what the plugin writes for colour cameras: always bgr in the file
        ('bgr8; png compressed bgr8', BGR),
        ('rgb8; png compressed bgr8', BGR),
        ('rgba8; png compressed bgr8', BGR),
        ('bgra8; jpeg compressed bgr8', BGR),
        ('yuv422; png compressed bgr8', BGR),
        # drivers that encode what they have as it is: the file's red is the camera's blue
        ('rgb8; png compressed rgb8', BGR[..., ::-1]),
        ('rgb8; jpeg compressed rgb8', BGR[..., ::-1]),
        ('bgr8; png compressed rgb8', BGR[..., ::-1]),
        ('rgba8; png compressed rgba8', np.dstack((BGR[..., ::-1], GREY))),
        ('rgb8; png compressed', BGR[..., ::-1]),
        # the plugin's TIFF is not converted
        ('rgb8; tiff compressed ', BGR[..., ::-1]),
        ('bgr8; tiff compressed ', BGR),
        ('rgb8; tiff compressed rgb8', BGR[..., ::-1]),
        # nothing said
        ('png', BGR),
        ('jpeg', BGR),
        ('jpg', BGR),
        ('', BGR),
        ('rgb8', BGR),
        ('bgra8; png compressed bgra8', ALPHA),
        ('png', ALPHA),
    ],
)
def test_channels_are_in_the_order_that_the_format_says(stated_format: str, stored: np.ndarray) -> None:
    np.testing.assert_array_equal(as_bgr(coded('.png', stored), stated_format), BGR)


@pytest.mark.parametrize('stated_format', ['mono8; jpeg compressed mono8', 'mono8; png compressed ', 'jpeg', 'png'])
def test_grey_stays_one_channel(stated_format: str) -> None:
    decoded = decode_compressed(coded('.png', GREY), stated_format)
    assert decoded.encoding == 'mono8'
    np.testing.assert_array_equal(decoded.data.reshape(GREY.shape), GREY)


def test_grey_of_a_bayer_camera_is_grey() -> None:
    """The plugin converts the mosaic to grey for JPEG."""
    assert decode_compressed(coded('.jpg', GREY), 'bayer_rggb8; jpeg compressed mono8').encoding == 'mono8'


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('stated_format', ['bayer_{}8; png compressed ', 'bayer_{0}8; png compressed bayer_{0}8'])
def test_a_bayer_pattern_in_a_png_is_one(pattern: str, stated_format: str) -> None:
    expected, _ = to_color(RawImage.from_array(GREY, f'bayer_{pattern}8'), ColorOrder.BGR)
    np.testing.assert_array_equal(as_bgr(coded('.png', GREY), stated_format.format(pattern)), expected)


@pytest.mark.parametrize('bits', [10, 12, 16])
@pytest.mark.parametrize(
    ('stated_format', 'encoding'),
    [
        ('mono16; png compressed ', 'mono8'),
        ('mono16; tiff compressed ', 'mono8'),
        ('png', 'mono8'),
        ('bayer_gbrg16; png compressed ', 'bayer_gbrg8'),
    ],
)
def test_16_bit_files_keep_their_bits(stated_format: str, encoding: str, bits: int) -> None:
    data = coded('.tiff' if 'tiff' in stated_format else '.png', GREY.astype(np.uint16) << bits - 8)
    expected, _ = to_color(RawImage.from_array(GREY, encoding), ColorOrder.BGR)
    np.testing.assert_array_equal(as_bgr(data, stated_format), expected)


@pytest.mark.parametrize(('stated_format', 'shown'), [('rgb16; png compressed bgr16', BGR), ('bgr16', BGR)])
def test_16_bit_colour(stated_format: str, shown: np.ndarray) -> None:
    np.testing.assert_array_equal(as_bgr(coded('.png', BGR.astype(np.uint16) << 4), stated_format), shown)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The same file with an EXIF segment that asks viewers to turn it."""
    tiff = b'MM\0*' + struct.pack('>IHHHIHHI', 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b'Exif\0\0' + tiff
    return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_pixels_come_as_they_are_stored_whatever_exif_says(orientation: int) -> None:
    data = coded('.jpg', BGR)
    turned = with_orientation(data, orientation)
    viewed = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert not np.array_equal(viewed, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)), 'it is EXIF'
    assert decode_compressed(turned).width == 96
    np.testing.assert_array_equal(as_bgr(turned, 'jpeg'), as_bgr(data, 'jpeg'))


@pytest.mark.parametrize(
    'stated_format',
    ['h264', 'H.264', 'h265', 'hevc', 'libx264', 'hevc_nvenc', 'h264_vaapi', 'av1', 'rgb8; h264 ', 'vp9', 'theora'],
)
def test_video_packets_are_named(stated_format: str) -> None:
    with pytest.raises(FrameError, match=r'video codec.*decode the stream to an Image topic') as caught:
        decode_compressed(b'\0\0\0\1\x67 whatever', stated_format)
    assert caught.value.reason == 'video_packet'


@pytest.mark.parametrize('data', [b'\0\0\0\1\x67\x42\0\x1e', b'\0\0\1\x09\x10'])
def test_a_video_stream_under_another_format_is_named(data: bytes) -> None:
    with pytest.raises(FrameError, match=r"video stream \(format 'jpeg'\)") as caught:
        decode_compressed(data, 'jpeg')
    assert caught.value.reason == 'video_packet'


@pytest.mark.parametrize(
    ('image', 'stated_format', 'error'),
    [
        (GREY.astype(np.uint16), '16UC1; png compressed ', "got '16UC1', which is what depth cameras publish"),
        (GREY.astype(np.float32), '32FC1; tiff compressed ', "got '32FC1', which is what depth cameras publish"),
        (GREY.astype(np.uint16), '16UC1; compressedDepth png', 'is depth; remap image to the colour topic'),
    ],
)
def test_depth_is_no_picture(image: np.ndarray, stated_format: str, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        as_bgr(coded('.tiff' if 'tiff' in stated_format else '.png', image), stated_format)
    assert caught.value.reason == 'depth_image'


@pytest.mark.parametrize(
    ('data', 'error'),
    [
        (b'', 'got 0 bytes'),
        (b'\xff\xd8\xff nonsense', "got 12 bytes of format 'jpeg' that OpenCV cannot decode"),
        (coded('.png', BGR)[:30], 'got 30 bytes'),
        ([1, 2, 3], 'cannot decode'),
        (None, 'got no bytes'),
    ],
)
def test_what_cannot_be_decoded(data: object, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        decode_compressed(data, 'jpeg')
    assert caught.value.reason == 'bad_compressed_image'
