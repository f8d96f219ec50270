# SPDX-License-Identifier: Apache-2.0
"""The perception graph: ros2 launch isaac_inference perception.launch.py model:=/path/to/model.onnx

Arguments and nodes are data in isaac_inference/ros/bringup/launch_plan.py and graph.py.
"""

from isaac_inference.ros.bringup.launch_actions import launch_description
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan


def generate_launch_description():
    return launch_description(ARGUMENTS, launch_plan)
