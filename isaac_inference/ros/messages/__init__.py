# SPDX-License-Identifier: Apache-2.0
"""Arrays to ROS messages and back; the only place that does so."""
