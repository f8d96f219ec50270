# SPDX-License-Identifier: Apache-2.0
"""Boxes: detections and non-maximum suppression."""
