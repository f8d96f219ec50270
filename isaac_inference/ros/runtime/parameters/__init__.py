# SPDX-License-Identifier: Apache-2.0
"""The parameter schema, and its declaration, validation and live update in ROS."""
