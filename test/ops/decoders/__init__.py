# SPDX-License-Identifier: Apache-2.0
"""Tests of the decoders, one file each, and of what they share."""
