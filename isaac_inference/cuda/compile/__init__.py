# SPDX-License-Identifier: Apache-2.0
"""Kernels from source to launch: NVRTC or nvcc, whichever is available, and the cache of compiled kernels."""
