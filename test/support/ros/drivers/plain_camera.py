# SPDX-License-Identifier: Apache-2.0
"""A camera driver as ROS installs it: a process of its own, without this package, its DDS profile or its settings.

python plain_camera.py TOPIC WIDTH HEIGHT COUNT HZ RELIABILITY DEPTH: once somebody listens, publishes COUNT images at
HZ, then stays until its standard input ends.
"""

from __future__ import annotations

import array
import sys
import time

import rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image


def main() -> None:
    topic, width, height, count, hz, reliability, depth = sys.argv[1:]
    rclpy.init()
    node = rclpy.create_node('plain_driver')
    qos = QoSProfile(depth=int(depth), reliability=QoSReliabilityPolicy[reliability.upper()])
    images = node.create_publisher(Image, topic, qos)
    message = Image(height=int(height), width=int(width), encoding='bgr8', step=int(width) * 3)
    message.header.frame_id = 'camera'
    message.data = array.array('B', bytes(message.step * message.height))
    while not images.get_subscription_count():
        time.sleep(0.05)
    time.sleep(1.0)  # the other side's end of the discovery
    start = time.monotonic()
    for number in range(int(count)):
        time.sleep(max(0.0, start + number / float(hz) - time.monotonic()))
        message.header.stamp = node.get_clock().now().to_msg()
        images.publish(message)
    sys.stdin.read()


if __name__ == '__main__':
    main()
