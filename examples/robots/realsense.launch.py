# SPDX-License-Identifier: Apache-2.0
"""A RealSense camera over Wi-Fi: colour as JPEG, depth as PNG, aligned to colour; poses in the robot's base."""

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
        'image': '/camera/camera/color/image_raw',
        'camera_info': '/camera/camera/color/camera_info',
        'depth': '/camera/camera/aligned_depth_to_color/image_raw',
        'depth_info': '/camera/camera/aligned_depth_to_color/camera_info',
        'target_frame': 'base_link',
    }
    return LaunchDescription(
        [
            DeclareLaunchArgument('model', description='ONNX model'),
            IncludeLaunchDescription(perception, launch_arguments=arguments.items()),
        ]
    )
