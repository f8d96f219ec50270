# SPDX-License-Identifier: Apache-2.0
"""Tests of tracking and pose smoothing."""
