# SPDX-License-Identifier: Apache-2.0
"""The ONNX Runtime backend: `loader` makes a session, `runner` runs it."""
