# SPDX-License-Identifier: Apache-2.0
"""Whole depth images: made metric, filled, put into points."""
