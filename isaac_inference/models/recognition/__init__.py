# SPDX-License-Identifier: Apache-2.0
"""From an ONNX file and its cards to a model card: task, decoder, roles, labels, objects."""
