# SPDX-License-Identifier: Apache-2.0
"""Many cameras and many models on one machine: what is decided without ROS."""
