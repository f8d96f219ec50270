# SPDX-License-Identifier: Apache-2.0
"""Many cameras and many models on one machine: streams, batches, the scheduler. Nothing here imports ROS."""
