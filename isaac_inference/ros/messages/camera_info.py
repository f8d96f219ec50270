# SPDX-License-Identifier: Apache-2.0
"""Camera models as sensor_msgs/CameraInfo, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration, ImageRectified, StereoFrame, rectified_by_name
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.distortion import NONE
from isaac_inference.ros.runtime.assembly import assembler

_SAME_PX = 0.01  # intrinsics that differ by less are the same
_SHARED = tuple(name for name in CameraInfo.get_fields_and_field_types() if name != 'header')
_again = assembler(CameraInfo, 'header', *_SHARED)


class CameraFeed:
    """The camera that a topic's newest CameraInfo describes; made again only where the message says something new.

    Args:
        rectified: whether the image is.
        topics: names that may tell where that is 'auto': of the image first, then of its CameraInfo.
        stereo: where a stereo pair's second camera has the origin of its frame.

    Attributes:
        camera: of the image; None before a usable message.
        calibration: what the message says; None as long as `camera` is.
        frame_id: of the message.
        rectified: what `camera` takes the image for.
        undecided: whether K, D and P differ, and neither the user nor a name says which of them the image follows.
        origin: (3,) m, of the camera in its frame: not zero for a stereo pair's second camera in the first one's.
        assumed: what had to be assumed, in words, by what it is assumed of ('image_rectified', 'stereo_frame'); empty
            where the message leaves no choice, or the user made it.
    """

    def __init__(
        self,
        rectified: ImageRectified = ImageRectified.AUTO,
        topics: Sequence[str] = (),
        stereo: StereoFrame = StereoFrame.AUTO,
    ) -> None:
        self.camera: CameraModel | None = None
        self.calibration: Calibration | None = None
        self.frame_id = ''
        self.rectified = self.undecided = False
        self.origin: np.ndarray = np.zeros(3)
        self.assumed: dict[str, str] = {}
        self._chosen, self._topics, self._stereo = rectified, tuple(topics), stereo
        self._shown: bool | None = None
        self._is_followed = False
        self._image_wh: tuple[int, int] | None = None

    def put(self, message: CameraInfo) -> None:
        """Take a message; after one that can't be used no camera is known.

        Raises:
            FrameError: as `camera_model`.
        """
        said = calibration(message)
        if said != self.calibration or message.header.frame_id != self.frame_id:
            if said != self.calibration:
                self._shown, self._is_followed = None, False
            self.frame_id = message.header.frame_id
            self._take(said)

    @property
    def is_shown(self) -> bool:
        """Whether its content has shown what an undecided image is."""
        return self._shown is not None

    def show(self, rectified: bool) -> None:
        """Of an undecided image: its content shows whether it is rectified, until the calibration changes."""
        if self.calibration is not None:
            self._shown = rectified
            self._take(self.calibration)

    def fit(self, width: int, height: int) -> None:
        """Images have this size: where it is that of the whole although there is a roi, they show the whole.

        Raises:
            FrameError: 'camera_info_size', where the camera is of images of another size.
        """
        if (width, height) != self._image_wh:
            self._image_wh = width, height
            if self.calibration is not None:
                self._take(self.calibration)
        if self.camera is not None:
            self.camera.check_image(width, height)

    @property
    def flat(self) -> np.ndarray | None:
        """(4,) fx, fy, cx, cy in px of a rectified image: one that follows P, or a raw one that is the same; else None.

        It is what `follow` of another one takes, with keypoints of that image.
        """
        if self.camera is None or self.calibration is None:
            return None
        try:
            told = self.camera if self.rectified else self.calibration.camera(True, self._image_wh)
        except FrameError:  # it has no usable P
            return None
        intrinsics: np.ndarray = told.K[(0, 1, 0, 1), (0, 1, 2, 2)]
        return intrinsics if _is_flat_with(self.camera, intrinsics) else None

    def follow(self, intrinsics: np.ndarray | None) -> None:
        """The image is known to be the rectified one with these fx, fy, cx, cy, whatever names say: P is taken, unless
        the user said otherwise, until the calibration changes or a frame comes that does not say so (None).

        Raises:
            FrameError: 'image_rectified', where the camera is not that one; 'bad_tensor', for other than four numbers.
        """
        if intrinsics is None:
            if self._is_followed and self.calibration is not None:
                self._is_followed = False
                self._take(self.calibration)
            return
        if intrinsics.shape != (4,) or not np.isfinite(intrinsics).all():
            raise FrameError('bad_tensor', f'rectified: got {intrinsics.tolist()}, expected fx, fy, cx and cy')
        said = self.calibration
        if said is None or _is_flat_with(self.camera, intrinsics):
            return
        if self._chosen is ImageRectified.AUTO and not self.rectified:
            with contextlib.suppress(FrameError):  # it has no usable P
                if _is_flat_with(said.camera(True, self._image_wh), intrinsics):
                    self._is_followed = True
                    self._take(said)
                    return
        camera = said.camera(self.rectified, self._image_wh)
        seen = camera.K[(0, 1, 0, 1), (0, 1, 2, 2)].round(1).tolist()
        raise FrameError(
            'image_rectified',
            f'keypoints are of a rectified image with fx, fy, cx, cy {np.round(intrinsics, 1).tolist()} and no '
            f'distortion, CameraInfo is taken for {seen} and {camera.model}; remap camera_info to that of the '
            'rectified image, which the preprocess node publishes on rectified/camera_info',
        )

    def _take(self, said: Calibration) -> None:
        self.camera = self.calibration = None
        self.assumed, self.undecided = {}, False
        told, why = self._told(said)
        is_open = told is None
        if told is None:
            told, why = self._shown, 'its keypoints show so'
        if told is None:
            told, why = False, 'nothing tells'
        camera = said.camera(told, self._image_wh)
        self.camera, self.calibration, self.rectified, self.undecided = camera, said, told, is_open
        self.assumed = {'image_rectified': f'{str(told).lower()}: {why}'} if why else {}
        is_own = self._stereo.is_own(self.frame_id)
        self.origin = np.zeros(3) if is_own else said.origin(told)
        if told and said.is_second and self._stereo is StereoFrame.AUTO:
            where = 'own: its name' if is_own else 'first: by P, and nothing in its name'
            self.assumed['stereo_frame'] = f'{where}, {self.frame_id!r}, says that it is of the second camera'

    def _told(self, said: Calibration) -> tuple[bool | None, str]:
        """Whether the image is rectified, and how that is known where the user did not say it; None if it is not."""
        if self._chosen is not ImageRectified.AUTO:
            return self._chosen is ImageRectified.TRUE, ''
        if self._is_followed:
            return True, 'what comes with its keypoints says so'
        only = said.only()
        if only is not None:
            return only, '' if any(said.k) else 'K is all zeros'
        for topic in self._topics:
            by_name = rectified_by_name(topic)
            if by_name is not None:
                return by_name, f'the name of {topic} says so'
        return (None, '') if any(said.p) else (False, '')


def _is_flat_with(camera: CameraModel | None, intrinsics: np.ndarray) -> bool:
    """Whether a camera bends nothing and has these fx, fy, cx, cy."""
    if camera is None or camera.model != NONE:
        return False
    return bool(np.abs(camera.K[(0, 1, 0, 1), (0, 1, 2, 2)] - intrinsics).max() <= _SAME_PX)


def camera_info(header: Header, camera: CameraModel) -> CameraInfo:
    """A message for an unrectified monocular camera: R is the identity and P repeats K."""
    P = np.zeros((3, 4))
    P[:, :3] = camera.K
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model='plumb_bob' if camera.model == 'none' else camera.model,
        d=list(camera.distortion) or [0.0] * 5,
        k=camera.K.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=P.ravel().tolist(),
    )


def rectified_camera_info(header: Header, camera: CameraModel, origin: np.ndarray) -> CameraInfo:
    """A message that says of a rectified image the same by K, by K and D, and by P: whoever reads it cannot err.

    Args:
        header: the image's.
        camera: without distortion.
        origin: (3,) m, of the camera in its frame: not zero for a stereo pair's second camera.
    """
    message = camera_info(header, camera)
    P = np.array(message.p).reshape(3, 4)
    P[:2, 3] = -camera.K[(0, 1), (0, 1)] * origin[:2]
    message.p = P.ravel().tolist()
    return message


def with_header(message: CameraInfo, header: Header) -> CameraInfo:
    """The same under another header; shares its parts with `message`, which nobody may change."""
    again: CameraInfo = _again(header, *(getattr(message, name) for name in _SHARED))
    return again


def calibration(message: CameraInfo) -> Calibration:
    """The fields of a message, unchecked."""
    roi = message.roi
    return Calibration(
        message.width,
        message.height,
        message.distortion_model,
        tuple(message.d),
        tuple(map(float, message.k)),
        tuple(map(float, message.p)),
        (message.binning_x, message.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
        tuple(map(float, message.r)),
        bool(roi.do_rectify),
    )


def camera_model(message: CameraInfo, rectified: bool = False) -> CameraModel:
    """What a CameraInfo says of the raw or the rectified image beside it.

    Raises:
        FrameError: 'no_intrinsics', 'bad_intrinsics', 'camera_info_roi' or 'unknown_distortion'.
    """
    return calibration(message).camera(rectified)
