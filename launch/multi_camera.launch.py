# SPDX-License-Identifier: Apache-2.0
"""Simulated cameras around one table, fused: ros2 launch isaac_inference multi_camera.launch.py cameras:=3 rviz:=true

Arguments and nodes are data in isaac_inference/ros/bringup/multi_camera_plan.py and graph.py.
"""

from isaac_inference.ros.bringup.launch_actions import launch_description
from isaac_inference.ros.bringup.multi_camera_plan import ARGUMENTS, multi_camera_plan


def generate_launch_description():
    return launch_description(ARGUMENTS, multi_camera_plan)
