# SPDX-License-Identifier: Apache-2.0
"""A recording that is played in a loop, on its own clock."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

PACKAGE = FindPackageShare('isaac_inference')


def generate_launch_description():
    perception = PythonLaunchDescriptionSource(PathJoinSubstitution([PACKAGE, 'launch', 'perception.launch.py']))
    arguments = {
        'model': LaunchConfiguration('model'),
        'image': '/camera/image_raw',
        'camera_info': '/camera/camera_info',
        'use_sim_time': 'true',
    }
    return LaunchDescription(
        [
            DeclareLaunchArgument('model', description='ONNX model'),
            IncludeLaunchDescription(perception, launch_arguments=arguments.items()),
        ]
    )
