# SPDX-License-Identifier: Apache-2.0
"""The parameter schema, and its declaration, validation and live update in ROS."""

from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param

__all__ = ['NodeParameters', 'group', 'param']
