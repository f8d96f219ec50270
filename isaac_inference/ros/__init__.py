# SPDX-License-Identifier: Apache-2.0
"""Everything that imports ROS, the command line aside."""
