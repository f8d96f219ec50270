# SPDX-License-Identifier: Apache-2.0
"""Thin ROS shells, one node a file: parameters in, topics in and out, no maths."""
