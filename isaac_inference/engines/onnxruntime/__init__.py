# SPDX-License-Identifier: Apache-2.0
"""The ONNX Runtime backend: `settings` say how, `loader` makes a session, `runner` runs it."""
