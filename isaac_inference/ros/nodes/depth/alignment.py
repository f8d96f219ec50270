# SPDX-License-Identifier: Apache-2.0
"""Scale and shift of a frame, by what the user chose."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.dense.ground import ground_depths
from isaac_inference.ops.depth.dense.scale_shift import FitSettings, ScaleShift, SmoothScaleShift, fit_scale_shift
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.depth import depth_array, depth_encoding
from isaac_inference.ros.messages.image import ImageFrame
from isaac_inference.ros.runtime.transforms.base import frame_name

_PIXELS = 4000  # of the image, in a grid: what the ground is fitted to, about
_SAME_ASPECT = 0.02


class DepthAlignment:
    """Fits to a sensor's depth, which is registered to the image, at any resolution.

    Args:
        settings: when a fit is believed.
        inverse: whether the network's numbers grow with the inverse of depth.
    """

    def __init__(self, settings: FitSettings, inverse: bool) -> None:
        self._settings, self._inverse = settings, inverse

    def __call__(self, numbers: np.ndarray, header: Header, item: ImageFrame | CompressedImage | None) -> ScaleShift:
        """The fit of one frame.

        Raises:
            FrameError: 'unpaired_align_depth', 'depth_unregistered', and what `depth_array`, `DepthImage.check` and
                `fit_scale_shift` raise.
        """
        if item is None:
            raise FrameError(
                'unpaired_align_depth',
                'no align_depth belongs to the frame; is it published, and with the clock of the image?',
            )
        frame = depth_frame_of(item)
        known = DepthImage.check(depth_array(frame), depth_encoding(frame))
        height, width = numbers.shape
        own, image = frame_name(frame.header.frame_id), frame_name(header.frame_id)
        if (own and image and own != image) or abs(known.width * height / (known.height * width) - 1.0) > _SAME_ASPECT:
            raise FrameError(
                'depth_unregistered',
                f'align_depth is of {known.width}x{known.height} px in frame {own!r}, the image of {width}x{height} in '
                f'{image!r}: it shows another view; use the depth that is registered (aligned) to the image',
            )
        if (known.width, known.height) != (width, height):
            # the network's numbers are smooth, measured depth is not: it stays as it is
            numbers = cv2.resize(numbers, (known.width, known.height), interpolation=cv2.INTER_AREA)
        return fit_scale_shift(numbers, known.metres(), self._inverse, self._settings)


class GroundAlignment:
    """Fits to the ground as deep as it must be by the camera's place above it.

    Args:
        settings: when a fit is believed.
        inverse: whether the network's numbers grow with the inverse of depth.
        farthest: m, ground beyond is left out.
        place: T_ground_camera at a frame's stamp.
    """

    def __init__(self, settings: FitSettings, inverse: bool, farthest: float, place: Callable[[Header], Pose]) -> None:
        self._settings, self._inverse, self._farthest, self._place = settings, inverse, farthest, place

    def __call__(self, numbers: np.ndarray, header: Header, camera: CameraModel | None) -> ScaleShift:
        """The fit of one frame.

        Raises:
            FrameError: 'no_camera_info', 'camera_info_size', 'ground_height', a TransformError, and what
                `fit_scale_shift` raises.
        """
        if camera is None:
            raise FrameError(
                'no_camera_info', 'no usable CameraInfo yet, and how deep the ground is follows from the lens; remap it'
            )
        height, width = numbers.shape
        camera.check_image(width, height)
        rows, columns = _grid(height, width)
        places = np.column_stack((columns, rows)).astype(np.float64)
        known = ground_depths(camera, self._place(header), places, self._farthest)
        return fit_scale_shift(numbers[rows, columns], known, self._inverse, self._settings)


def smoothed(mean: SmoothScaleShift, fit: ScaleShift, numbers: np.ndarray) -> ScaleShift:
    """The running mean of fits, compared at the middle of this frame's numbers."""
    return mean.put(fit, float(np.nanmedian(numbers[_grid(*numbers.shape)])))


def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) rows and columns, evenly spread over an image."""
    stride = max(1, math.isqrt(height * width // _PIXELS))
    rows, columns = np.mgrid[stride // 2 : height : stride, stride // 2 : width : stride]
    return rows.ravel(), columns.ravel()
