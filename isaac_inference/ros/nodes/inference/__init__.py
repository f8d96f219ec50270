# SPDX-License-Identifier: Apache-2.0
"""The inference node: runs the engine, and builds it first where it must."""
