# SPDX-License-Identifier: Apache-2.0
"""Output tensors to a class for each pixel, on the CPU and on a GPU."""
