# SPDX-License-Identifier: Apache-2.0
"""Keypoints of people: from a network's outputs to places in its input, and from there into space."""
