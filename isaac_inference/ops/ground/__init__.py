# SPDX-License-Identifier: Apache-2.0
"""What a class mask says of the ground in front of a robot: points and an occupancy grid, for planners."""
