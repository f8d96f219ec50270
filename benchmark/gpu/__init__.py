# SPDX-License-Identifier: Apache-2.0
"""What TensorRT and the GPU's stages do."""
