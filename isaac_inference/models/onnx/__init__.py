# SPDX-License-Identifier: Apache-2.0
"""What an ONNX file says: tensors, metadata, and the end of its graph."""
