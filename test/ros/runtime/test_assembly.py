# SPDX-License-Identifier: Apache-2.0
"""Messages from parts equal those from their constructors, and no two share what can be changed."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point, PoseWithCovariance, Quaternion, TransformStamped
from geometry_msgs.msg import Pose as PoseMessage
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3D, ObjectHypothesisWithPose

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ros.messages.detections import detection_array, with_id
from isaac_inference.ros.messages.poses import detection_3d
from isaac_inference.ros.runtime.assembly import assembler

HEADER = Header(frame_id='camera')
POSE = Pose(so3_exp((0.4, -0.3, 0.2)), np.array([0.1, -0.2, 0.9]))


def pose_by_constructor() -> PoseMessage:
    position = Point(**dict(zip('xyz', POSE.translation.tolist(), strict=True)))
    return PoseMessage(
        position=position, orientation=Quaternion(**dict(zip('xyzw', POSE.quaternion().tolist(), strict=True)))
    )


@pytest.mark.parametrize('covariance', [None, np.arange(36.0).reshape(6, 6)], ids=['unknown', 'known'])
def test_an_object_is_the_message_that_its_constructor_makes(covariance):
    made = detection_3d(HEADER, 'cup', 0.5, POSE, np.array([1, 2, 3]), identity='7', covariance=covariance)
    expected = Detection3D(header=HEADER, id='7', results=[ObjectHypothesisWithPose()])
    expected.results[0].hypothesis.class_id, expected.results[0].hypothesis.score = 'cup', 0.5
    expected.results[0].pose.pose = expected.bbox.center = pose_by_constructor()
    if covariance is not None:
        expected.results[0].pose.covariance = covariance.ravel()
    expected.bbox.size.x, expected.bbox.size.y, expected.bbox.size.z = 1.0, 2.0, 3.0
    assert serialize_message(made) == serialize_message(expected)
    assert made == deserialize_message(serialize_message(made), Detection3D)


def test_boxes_are_the_messages_that_their_constructor_makes():
    found = Detections(np.array([[10, 20, 30, 60]], np.float32), np.array([0.75], np.float32), np.array([1], np.int32))
    made = detection_array(HEADER, found, ['a', 'b'])
    expected = Detection2DArray(header=HEADER, detections=[type(made.detections[0])(header=HEADER)])
    result, box = ObjectHypothesisWithPose(), expected.detections[0].bbox
    result.hypothesis.class_id, result.hypothesis.score = 'b', 0.75
    box.center.position.x, box.center.position.y, box.size_x, box.size_y = 20.0, 40.0, 20.0, 40.0
    expected.detections[0].results = [result]
    assert serialize_message(made) == serialize_message(expected)
    expected.detections[0].id = '4'
    assert serialize_message(with_id(made.detections[0], '4')) == serialize_message(expected.detections[0])
    assert made.detections[0].id == '', 'the one that it was made from has changed'


def test_two_messages_share_nothing_that_can_be_changed():
    one, other = (detection_3d(HEADER, 'cup', 0.5, POSE, (1, 2, 3)) for _ in range(2))
    one.results[0].pose.covariance[0] = 5.0
    one.bbox.center.position.x = 9.0
    one.results.append(ObjectHypothesisWithPose())
    assert other.results[0].pose.covariance[0] == 0.0
    assert other.bbox.center.position.x == POSE.translation[0]
    assert len(other.results) == 1


def test_what_could_be_shared_must_be_given():
    with pytest.raises(TypeError, match='PoseWithCovariance: _covariance must be among'):
        assembler(PoseWithCovariance, 'pose')
    with pytest.raises(TypeError, match="TransformStamped has no field 'child'; it has header, child_frame_id"):
        assembler(TransformStamped, 'header', 'child')


def test_a_message_from_parts_can_be_changed_like_any_other():
    made = assembler(Point, 'x')(1.0)
    made.y = 2.0
    assert made == Point(x=1.0, y=2.0)


@pytest.mark.parametrize('kind', [DiagnosticStatus, CameraInfo, KeyValue])
def test_a_field_of_any_name_arrives_where_it_belongs(kind):
    """DiagnosticStatus has a field called message."""
    expected = kind()
    names = list(kind.get_fields_and_field_types())
    made = assembler(kind, *names)(*(getattr(expected, name) for name in names))
    assert made == expected
    assert serialize_message(made) == serialize_message(expected)
