# SPDX-License-Identifier: Apache-2.0
"""Keypoints of people against their truth, in the image and in space."""
