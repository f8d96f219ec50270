# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels on the host, and stand-ins for PyCUDA and the driver."""
