# SPDX-License-Identifier: Apache-2.0
"""Many cameras and models on one machine: what is decided without ROS."""
