# SPDX-License-Identifier: Apache-2.0
"""Keypoints of people: read from a network's outputs, and brought into space."""
