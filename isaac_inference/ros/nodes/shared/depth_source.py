# SPDX-License-Identifier: Apache-2.0
"""Depth in the colour camera's view: as it comes where it is registered, brought there where /tf and its own CameraInfo
say how, refused otherwise."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.depth.reprojection import reproject
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.distortion import NONE
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle
from isaac_inference.ros.messages.camera_info import CameraFeed
from isaac_inference.ros.messages.depth import depth_array, depth_encoding
from isaac_inference.ros.messages.image import ImageFrame
from isaac_inference.ros.nodes.shared.image_source import DepthTransport
from isaac_inference.ros.runtime.parameters.schema import param
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.transforms import TransformLibrary
from isaac_inference.ros.runtime.transforms.base import frame_name
from isaac_inference.stages.poses import DepthView

_SAME_VIEW = 0.05  # relative: intrinsics of depth that differ more from the image's are not those of registered depth
_SAME_ASPECT = 0.02  # relative: what rounding a size to whole pixels, or to whole tens, can do
_SAME_PIXEL = 2.0  # px: distortion that moves depth by less than that is none
_SAME_PLACE = 1e-4  # m and rad
_IMPATIENCE_S = 3.0  # for so long after a transform that did not come none is waited for

# T_target_source at a stamp in ns, waited for or not; raises FrameError
Transform = Callable[[str, str, int, bool], Pose]


@dataclass(frozen=True)
class DepthSourceParameters:
    """How depth comes beside what was detected, and how it gets into the colour camera's view."""

    depth_transport: DepthTransport = param(
        DepthTransport.AUTO,
        'How depth comes: Image on "depth/image", CompressedImage (compressedDepth: PNG or RVL) on '
        '"depth/image/compressedDepth" or on "depth/image" itself, or the first of these that is published.',
    )
    depth_tolerance_s: float = param(
        0.0,
        "Largest difference between the stamps of depth and image; 0 follows depth's measured period: half of it.",
        unit='s',
        minimum=0.0,
        maximum=1.0,
    )
    depth_unit_scale: float = param(
        0.0, 'Metres per unit of depth; 0 goes by the encoding: 16UC1 is mm, 32FC1 is m.', minimum=0.0
    )
    transform_wait_s: float = param(0.1, 'Longest wait for a transform.', unit='s', minimum=0.0, maximum=10.0)
    transform_source: TransformLibrary = param(
        TransformLibrary.AUTO, 'Library that keeps the transforms; auto takes tf2_ros where it is installed.'
    )


class DepthSource:
    """Makes `DepthView`s of depth messages.

    Args:
        color, own: the cameras of the image and of depth.
        transform: looks /tf up, for depth that is in another frame than the image.
        unit_scale: metres per unit; 0 goes by the encoding.
        is_raw: it is known that depth is not rectified.
    """

    def __init__(
        self, color: CameraFeed, own: CameraFeed, transform: Transform, unit_scale: float, is_raw: bool = False
    ) -> None:
        self._color, self._own, self._transform = color, own, transform
        self._is_raw = is_raw
        self._bent: tuple[CameraModel, tuple[tuple[float, ...], tuple[int, int]], bool] | None = None
        self._unit_scale = unit_scale or None
        self._impatient_until_s = 0.0  # what did not come is not waited for again at once: it would delay every frame
        self.assumed = ''  # what is taken for granted of the depth in hand, in words
        self._last: tuple[ImageFrame, Header, CameraModel, DepthView] | None = None

    def view(self, frame: ImageFrame, header: Header, boxes: np.ndarray) -> DepthView:
        """Depth in the view of the image with that header, whose detections have these boxes, (N, 4) px.

        Raises:
            FrameError: 'no_camera_info', 'depth_unregistered' (it shows another view, and how to bring it over is not
                known), 'depth_outside', and what `depth_array` and `DepthImage.check` raise.
        """
        color = self._color.camera
        if color is None:
            raise FrameError('no_camera_info', 'no usable CameraInfo has arrived')
        if self._last is not None and self._last[0] is frame and self._last[1] == header and self._last[2] is color:
            return self._last[3]
        image = DepthImage.check(depth_array(frame), depth_encoding(frame), self._unit_scale)
        self._fit(image)
        T_color_depth = self._from_depth(frame.header, header)
        if T_color_depth is None:
            registered = self._registered(image, color)
            made = DepthView(image, registered)
            if self._is_bent_otherwise(registered, color):  # one is rectified, the other is not
                made = DepthView(*reproject(image, registered, color, Pose.identity(), boxes))
        else:
            made = DepthView(*reproject(image, self._own_camera(frame, header), color, T_color_depth, boxes))
        self._last = frame, header, color, made
        return made

    def check_registered(self, image: DepthImage) -> None:
        """Depth in the image's frame shows the image's view, as far as the CameraInfos say that.

        Raises:
            FrameError: 'depth_unregistered'.
        """
        if self._color.camera is not None:
            self._fit(image)
            self._registered(image, self._color.camera)

    def _fit(self, image: DepthImage) -> None:
        with contextlib.suppress(FrameError):  # its size is looked at where it matters
            self._own.fit(image.width, image.height)

    def _from_depth(self, depth: Header, color: Header) -> Pose | None:
        """T_color_depth, of the cameras' centres; None where both are in one frame."""
        source, target = frame_name(depth.frame_id), frame_name(color.frame_id)
        self.assumed = '' if source else 'registered to the image: its header names no frame'
        if source == target or not source or not target:
            return None
        try:
            found = self._transform(target, source, stamp_ns(color), time.monotonic() >= self._impatient_until_s)
        except FrameError as error:
            self._impatient_until_s = time.monotonic() + _IMPATIENCE_S
            raise FrameError(
                'depth_unregistered',
                f'depth is in frame {source}, the image in {target}, and /tf does not say where one is in the other '
                f'({error}); publish that transform and depth/camera_info, or use the depth that is registered '
                '(aligned) to colour',
            ) from error
        shift = found.translation + found.rotation @ self._own.origin - self._color.origin
        apart = max(float(np.linalg.norm(shift)), rotation_angle(found.rotation))
        if self._own.camera is None and apart < _SAME_PLACE:
            return None
        return Pose(found.rotation, shift)

    def _own_camera(self, frame: ImageFrame, header: Header) -> CameraModel:
        size = (frame.image.width, frame.image.height)
        own = self._own.camera
        is_color_s = frame_name(self._own.frame_id) == frame_name(header.frame_id)
        if own is None or is_color_s or (own.width, own.height) != size:
            has = 'has not arrived' if own is None else f'is for {own.width}x{own.height}'
            has = f"is the image's own, by its frame {header.frame_id}" if own and is_color_s else has
            raise FrameError(
                'depth_unregistered',
                f'depth of {size[0]}x{size[1]} is in frame {frame_name(frame.header.frame_id)}, the image in '
                f"{frame_name(header.frame_id)}: to bring it over takes the depth camera's own intrinsics, and "
                f'depth/camera_info {has}; remap it, or use the depth that is registered (aligned) to colour',
            )
        return own

    def _registered(self, image: DepthImage, color: CameraModel) -> CameraModel:
        """The intrinsics that depth in the image's frame has of its own at this size, else the image's, resized.

        Raises:
            FrameError: 'depth_unregistered', where they, or the sides of the two, show that the views differ.
        """
        expected, own = color.resized(image.width, image.height), self._own.camera
        if own is None and self._is_raw and color.model == NONE:
            raise FrameError(
                'depth_unregistered',
                'the image is rectified, depth is not (depth_rectified: false), and no depth/camera_info says how that '
                "is bent; remap depth/camera_info to depth's own, or to the raw image's if depth is registered to that",
            )
        if own is None:
            if abs(image.width * color.height / (image.height * color.width) - 1.0) > _SAME_ASPECT:
                raise FrameError(
                    'depth_unregistered',
                    f'depth has {image.width}x{image.height} pixels, the image {color.width}x{color.height}: sides in '
                    'another proportion show another view, and no depth/camera_info says which; use the depth that is '
                    'registered (aligned) to colour',
                )
            return expected
        if self._own.rectified != self._color.rectified and self._can_bend():
            own = self._own_as(self._color.rectified, own)  # registered depth is as rectified as the image
        own = own.resized(image.width, image.height)  # as a rule, it is of that size
        alike = [own]
        if color.model == NONE != own.model:  # raw depth under a rectified image: its P is what may be alike
            alike.append(self._own_as(True, own).resized(image.width, image.height))
        if min(np.abs(camera.K - expected.K).max() for camera in alike) > _SAME_VIEW * expected.focal:
            raise FrameError(
                'depth_unregistered',
                f'depth/camera_info has K {own.K.ravel().round(1).tolist()}, the colour camera at that size '
                f'{expected.K.ravel().round(1).tolist()}: depth shows another view; use the depth that is registered '
                '(aligned) to colour',
            )
        return own

    def _own_as(self, rectified: bool, own: CameraModel) -> CameraModel:
        """What depth/camera_info says of depth that is rectified, or raw; `own` where it says nothing of that."""
        try:
            return self._own.calibration.camera(rectified) if self._own.calibration else own
        except FrameError:
            return own

    def _is_bent_otherwise(self, registered: CameraModel, color: CameraModel) -> bool:
        """Whether by the distortion of their lenses a pixel of depth is clearly elsewhere in the image's view."""
        if (registered.model, registered.distortion) == (color.model, color.distortion):
            return False
        size = (registered.width, registered.height)
        if self._bent is None or self._bent[0] is not color or self._bent[1] != (registered.distortion, size):
            grid = np.stack(np.meshgrid(*(np.linspace(0, side - 1, 5) for side in size)), axis=-1).reshape(-1, 2)
            rays = np.column_stack((registered.undistort(grid), np.ones(len(grid))))
            off = np.abs(color.resized(*size).project(rays) - grid)
            self._bent = color, (registered.distortion, size), bool((~(off <= _SAME_PIXEL)).any())
        return self._bent[2]

    def _can_bend(self) -> bool:
        """Whether the image's CameraInfo has a raw and a rectified image in it, so that it says which one it is."""
        said = self._color.calibration
        try:
            return said is not None and said.camera(False).model != NONE
        except FrameError:
            return True
