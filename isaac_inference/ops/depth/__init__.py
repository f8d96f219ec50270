# SPDX-License-Identifier: Apache-2.0
"""Depth images: reading them, separating the foreground, and points, positions and boxes from them."""
