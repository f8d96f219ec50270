# SPDX-License-Identifier: Apache-2.0
"""The stages on an NVIDIA GPU: raw image bytes to input tensors, output tensors to detections, and both in a chain."""
