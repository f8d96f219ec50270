# SPDX-License-Identifier: Apache-2.0
"""Camera models as sensor_msgs/CameraInfo, and back."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from isaac_inference.ops.geometry.camera_model import CameraModel


class CameraFeed:
    """The camera that a topic's newest CameraInfo describes; made again only where the message says something new."""

    def __init__(self) -> None:
        self.camera: CameraModel | None = None
        self._said: tuple[object, ...] = ()

    def put(self, message: CameraInfo) -> None:
        """Take a message; after one that can't be used no camera is known.

        Raises:
            FrameError: as `camera_model`.
        """
        said = (message.width, message.height, message.distortion_model, tuple(message.d), tuple(message.k))
        if self.camera is None or said != self._said:
            self.camera = None
            self.camera, self._said = camera_model(message), said


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


def camera_model(message: CameraInfo) -> CameraModel:
    """What a CameraInfo says of its camera.

    Raises:
        FrameError: 'no_intrinsics', 'bad_intrinsics' or 'unknown_distortion'.
    """
    return CameraModel.from_camera_info(message.width, message.height, message.distortion_model, message.d, message.k)
