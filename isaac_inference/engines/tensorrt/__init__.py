# SPDX-License-Identifier: Apache-2.0
"""TensorRT: settings, the build of an engine, its cache, and the engine that runs it."""
