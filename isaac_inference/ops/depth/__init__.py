# SPDX-License-Identifier: Apache-2.0
"""Depth images: reading, foreground, points, and positions and boxes from them."""
