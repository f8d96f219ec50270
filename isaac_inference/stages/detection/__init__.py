# SPDX-License-Identifier: Apache-2.0
"""Output tensors to detections, on the CPU and on a GPU."""
