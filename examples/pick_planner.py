#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The planner's side of the topics: poses in, a grasp of one object out. Read it, copy it, replace it.
Run: pick_planner.py --ros-args -r poses:=track/poses -r detections_3d:=track/detections_3d -p target_class:=soup_can
In:  poses (PoseArray) and detections_3d (Detection3DArray): same stamp and same order for one image.
Out: grasp and pre_grasp (PoseStamped) with the image's stamp, only while there is a target that can be grasped.
The gripper's frame: origin between the fingertips, z the approach to the object, fingers close along y, x = y cross z.
"""

import signal

if __name__ == '__main__':  # a Ctrl-C during the imports below must not end in a traceback either
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):  # a second one, as of a terminal and ros2 launch, changes nothing
        signal.signal(number, lambda number, _: stop.append(signal.signal(number, signal.SIG_IGN)))

import numpy as np
import rclpy
from geometry_msgs.msg import Point, Pose, PoseArray, PoseStamped, Quaternion
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from vision_msgs.msg import Detection3DArray

PARAMETERS = {  # all may be changed while the node runs
    'target_class': ('', 'Class to pick; empty picks any.'),
    'frame': ('base_link', 'The base, z up: frame of poses and grasps; others are refused. Nearest: to its origin.'),
    'min_score': (0.5, 'Minimum score of a target.'),
    'stable_frames': (5, 'Consecutive frames in which an object must be seen under the same id.'),
    'max_motion': (0.02, 'How far it may have moved within these frames, m.'),
    'max_opening': (0.1, 'Widest object that fits between the fingers, m.'),
    'finger_depth': (0.04, 'How far the fingertips reach below the surface, m; at most to the centre.'),
    'backoff': (0.12, 'Distance from pre_grasp to grasp along the approach, m.'),
}


def rotation_of(q):
    """(3, 3) from a quaternion message of any norm; NaN for a zero one, as in an unset message."""
    *v, w = np.array([q.x, q.y, q.z, q.w]) / (np.linalg.norm([q.x, q.y, q.z, q.w]) or np.nan)
    return (2 * w * w - 1) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * np.cross(np.eye(3), v)


def pose_of(rotation, position):
    """A message; the quaternion is an eigenvector (Bar-Itzhack), which needs no special case for half turns."""
    r, m = rotation, np.diag([0.0, 0.0, 0.0, np.trace(rotation)])
    m[:3, :3] = r + r.T - np.trace(r) * np.eye(3)
    m[3, :3] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]  # eigh reads the lower triangle only
    turn = Quaternion(**dict(zip('xyzw', np.linalg.eigh(m)[1][:, 3].tolist(), strict=True)))
    return Pose(position=Point(**dict(zip('xyz', position.tolist(), strict=True))), orientation=turn)


def grasp_of(rotation, center, size, max_opening, finger_depth):
    """A box's axes (columns), centre and size to the gripper's rotation (3, 3) and position (3,); None if none fits."""
    for side in np.argsort(size):  # the shortest first
        if 0 < size[side] <= max_opening and abs(rotation[2, side]) <= 0.7072:  # level within 45 degrees
            closing = rotation[:, side] * np.copysign(1, rotation[1, side])  # of two equal ones, the one with y left
            approach = ([0, 0, -1] + closing[2] * closing) / np.sqrt(1 - closing[2] ** 2)  # down, as far as they can
            to_surface = np.min(np.asarray(size) / 2 / np.maximum(np.abs(approach @ rotation), 1e-9))
            turn = np.column_stack((np.cross(closing, approach), closing, approach))
            return turn, center - approach * max(0.0, to_surface - finger_depth)


class PickPlanner(Node):
    """Keeps its target while it can be grasped; else picks the nearest object that can."""

    def __init__(self):
        super().__init__('pick_planner')
        self.declare_parameters('', [(n, v, ParameterDescriptor(description=t)) for n, (v, t) in PARAMETERS.items()])
        self.pairs, self.seen, self.target = {}, {}, None  # messages by stamp; positions by (class, id); (class, id)
        self.grasp, self.pre_grasp = (self.create_publisher(PoseStamped, name, 10) for name in ('grasp', 'pre_grasp'))
        self.create_subscription(PoseArray, 'poses', lambda message: self.pair(0, message), 10)
        self.create_subscription(Detection3DArray, 'detections_3d', lambda message: self.pair(1, message), 10)
        self.silence = self.create_timer(1.0, lambda: self.lose('no poses for a second'))

    def pair(self, which, message):
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        self.pairs.setdefault(stamp, {})[which] = message
        if len(self.pairs[stamp]) == 2:
            self.silence.reset()
            self.plan(self.pairs[stamp][0], self.pairs.pop(stamp)[1].detections)
        elif len(self.pairs) > 20:
            del self.pairs[next(iter(self.pairs))]

    def lose(self, why):
        if self.target:
            self.get_logger().warning(f'target {" ".join(self.target)} lost, no more grasps: {why}')
        self.seen, self.target = {}, None

    def plan(self, poses, objects):
        p, seen, found = {name: self.get_parameter(name).value for name in PARAMETERS}, {}, {}
        if poses.header.frame_id != p['frame'] or len(poses.poses) != len(objects):
            why = f'{len(poses.poses)} poses of {len(objects)} objects in {poses.header.frame_id!r}, not {p["frame"]!r}'
            self.get_logger().error(why + ': set target_frame of the pose node', throttle_duration_sec=5.0)
            return self.lose(why)
        for pose, item in ((one.bbox.center, one) for one in objects):  # an object's pose may be of a mesh's origin
            best = max((one.hypothesis for one in item.results if item.id), key=lambda h: h.score, default=None)
            if best and best.score >= p['min_score'] and p['target_class'] in ('', best.class_id):
                key, center = (best.class_id, item.id), np.array([pose.position.x, pose.position.y, pose.position.z])
                path = seen[key] = [*self.seen.get(key, ()), center][-p['stable_frames'] :]
                steady = np.linalg.norm(path - center, axis=1).max() < p['max_motion']
                size = (item.bbox.size.x, item.bbox.size.y, item.bbox.size.z)
                grasp = grasp_of(rotation_of(pose.orientation), center, size, p['max_opening'], p['finger_depth'])
                if grasp and steady and len(path) == p['stable_frames']:
                    found[key] = (np.linalg.norm(center), *grasp)
        if self.target not in found:
            self.lose('unseen, unsure, moving or out of grasp')
        self.seen = seen
        if found:
            self.target = self.target or min(found, key=lambda key: found[key][0])
            _, turn, position = found[self.target]
            for topic, way in ((self.grasp, 0.0), (self.pre_grasp, p['backoff'])):
                topic.publish(PoseStamped(header=poses.header, pose=pose_of(turn, position - way * turn[:, 2])))


if __name__ == '__main__':
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = PickPlanner()
    while not stop:
        rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()
