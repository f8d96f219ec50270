# SPDX-License-Identifier: Apache-2.0
"""Joints of people in space as sensor_msgs/PointCloud2, and back.

The cloud is organised: row i (of `height`) is detection i of the array of the same stamp, column j (of `width`) is
point j of the skeleton, whose names are latched on `keypoints_3d/label_info` (vision_msgs/LabelInfo). Like that it is
seen in RViz, moved by tf2, taken by what reads clouds, and needs no package of its own. Its fields, little-endian:

- `x`, `y`, `z` (float32, m, in the frame of the header), NaN where a joint is left out: nothing is ever filled in;
- `confidence` (float32), of the keypoint, 0..1; 0 where the joint is left out;
- `cov_xx`, `cov_xy`, `cov_xz`, `cov_yy`, `cov_yz`, `cov_zz` (float32, m^2): the covariance of x, y and z;
- `joint` (uint32), the column;
- `person` (uint32), the tracker's number in the detection's `id`, 0 where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from isaac_inference.errors import FrameError
from isaac_inference.ros.messages.image import byte_array, byte_view

KEYPOINTS_3D = 'keypoints_3d'
"""The topic of the joints."""
_AXES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_COVARIANCE = tuple(f'cov_{"xyz"[i]}{"xyz"[j]}' for i, j in _AXES)
_FLOATS = ('x', 'y', 'z', 'confidence', *_COVARIANCE)
_WHOLE = ('joint', 'person')
_ROW = np.dtype([(name, '<f4') for name in _FLOATS] + [(name, '<u4') for name in _WHOLE])


@dataclass(frozen=True, eq=False)
class JointRows:
    """The joints of the people of one frame.

    Attributes:
        positions: (N, K, 3) m, NaN where a joint is left out.
        covariances: (N, K, 3, 3) m^2, NaN with it.
        confidences: (N, K) 0..1.
        people: N numbers of the tracker, 0 for none.
    """

    positions: np.ndarray
    covariances: np.ndarray
    confidences: np.ndarray
    people: Sequence[int]


def joint_cloud(header: Header, rows: JointRows) -> PointCloud2:
    """The message; the header is the image's, with the frame that positions are in."""
    count, points = rows.positions.shape[:2]
    cells = np.empty((count, points), _ROW)
    for axis, name in enumerate('xyz'):
        cells[name] = rows.positions[..., axis]
    there = np.isfinite(rows.positions).all(axis=-1)
    cells['confidence'] = np.where(there, rows.confidences, 0.0)
    for (i, j), name in zip(_AXES, _COVARIANCE, strict=True):
        cells[name] = rows.covariances[..., i, j]
    cells['joint'] = np.arange(points, dtype=np.uint32)
    cells['person'] = np.asarray(rows.people, np.uint32).reshape(-1, 1)
    message = PointCloud2(header=header, height=count, width=points, is_bigendian=False, is_dense=bool(there.all()))
    message.fields = [
        PointField(
            name=name, offset=4 * k, datatype=PointField.FLOAT32 if name in _FLOATS else PointField.UINT32, count=1
        )
        for k, name in enumerate(_ROW.names or ())
    ]
    message.point_step, message.row_step = _ROW.itemsize, _ROW.itemsize * points
    message.data = byte_array(cells)
    return message


def read_joints(message: PointCloud2) -> JointRows:
    """What a message holds.

    Raises:
        FrameError: 'bad_joints', it is no such cloud.
    """
    names = tuple(field.name for field in message.fields)
    if names != _ROW.names or message.point_step != _ROW.itemsize:
        raise FrameError(
            'bad_joints',
            f'keypoints_3d: got fields {", ".join(names) or "none"} in {message.point_step} bytes, expected '
            f'{", ".join(_ROW.names or ())} in {_ROW.itemsize}; is the topic remapped to another cloud?',
        )
    data = byte_view(message.data)
    if data.size != message.height * message.width * _ROW.itemsize:
        raise FrameError(
            'bad_joints',
            f'keypoints_3d: got {data.size} bytes for {message.height} x {message.width} joints, expected '
            f'{message.height * message.width * _ROW.itemsize}; look at the node that publishes it',
        )
    cells = data.view(_ROW).reshape(message.height, message.width)
    covariances = np.empty((*cells.shape, 3, 3))
    for (i, j), name in zip(_AXES, _COVARIANCE, strict=True):
        covariances[..., i, j] = covariances[..., j, i] = cells[name]
    positions = np.stack([cells[name].astype(np.float64) for name in 'xyz'], axis=-1)
    people = cells['person'][:, 0].tolist() if cells.shape[1] else [0] * len(cells)
    return JointRows(positions, covariances, cells['confidence'].astype(np.float64), people)


def joint_names(header: Header, names: Sequence[str], threshold: float) -> LabelInfo:
    """What the columns of the cloud are called.

    Args:
        header: with a stamp.
        names: of the skeleton's points.
        threshold: the least confidence of a joint.
    """
    classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(names)]
    return LabelInfo(header=header, class_map=classes, threshold=threshold)


def person_number(identity: str) -> int:
    """A detection's id as the number that a cloud can hold; 0 for none, and for one that is no such number.

    Example:
        >>> person_number('7'), person_number(''), person_number('bob')
        (7, 0, 0)
    """
    return int(identity) if identity.isdecimal() and int(identity) < 2**32 else 0
