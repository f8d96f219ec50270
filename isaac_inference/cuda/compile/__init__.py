# SPDX-License-Identifier: Apache-2.0
"""Kernels from source to launch: NVRTC or nvcc, whichever there is, and the cache of what they made."""
