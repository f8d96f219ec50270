# SPDX-License-Identifier: Apache-2.0
"""Perception for ROS 2 robots: small composable nodes around one model file."""

__version__ = '0.1.0'
