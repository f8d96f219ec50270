# SPDX-License-Identifier: Apache-2.0
"""Frames per second: thinned evenly at the input, and watched at the output."""
