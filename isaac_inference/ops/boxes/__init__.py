# SPDX-License-Identifier: Apache-2.0
"""Detections and non-maximum suppression."""
