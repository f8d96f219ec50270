# SPDX-License-Identifier: Apache-2.0
"""Segmentation models for tests: their cards and their outputs."""
