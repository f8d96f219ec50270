# SPDX-License-Identifier: Apache-2.0
"""A simulated camera, the whole graph and a planner: ros2 launch isaac_inference demo.launch.py rviz:=true

Arguments and nodes are data in isaac_inference/ros/bringup/demo_plan.py and graph.py.
"""

from isaac_inference.ros.bringup.demo_plan import ARGUMENTS, demo_plan
from isaac_inference.ros.bringup.launch_actions import launch_description


def generate_launch_description():
    return launch_description(ARGUMENTS, demo_plan)
