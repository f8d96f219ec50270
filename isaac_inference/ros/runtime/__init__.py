# SPDX-License-Identifier: Apache-2.0
"""What every node stands on: parameters, lifecycle, hand-over, QoS, diagnostics, container.

Knows ROS, but no models and no maths.
"""
