# SPDX-License-Identifier: Apache-2.0
"""Images to input tensors, on the CPU and on a GPU."""
