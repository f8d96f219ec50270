# SPDX-License-Identifier: Apache-2.0
"""python -m benchmark.support.receiver TOPIC: another process that subscribes to detections, as a planner does.

Prints 'ready' once the topic has a publisher; at the end of its input it prints one JSON list of [stamp of the image in
ns, arrival in ns of the wall clock, detections].
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from vision_msgs.msg import Detection2DArray


def main() -> None:
    """Receive until the input ends."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('receiver')
    arrived: list[tuple[int, int, int]] = []

    def on_message(message: Any) -> None:
        stamp = message.header.stamp
        arrived.append((stamp.sec * 10**9 + stamp.nanosec, time.time_ns(), len(message.detections)))

    topic = sys.argv[1]
    node.create_subscription(Detection2DArray, topic, on_message, 10)
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    while not node.count_publishers(topic):
        time.sleep(0.05)
    print('ready', flush=True)
    sys.stdin.read()
    executor.shutdown()
    spinning.join(5.0)
    print(json.dumps(arrived), flush=True)
    node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
