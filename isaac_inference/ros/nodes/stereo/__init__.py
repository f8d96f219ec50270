# SPDX-License-Identifier: Apache-2.0
"""Depth from two cameras side by side."""
