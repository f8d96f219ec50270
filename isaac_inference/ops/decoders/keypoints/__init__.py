# SPDX-License-Identifier: Apache-2.0
"""Decoders of boxes that come with keypoints."""
