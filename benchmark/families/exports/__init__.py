# SPDX-License-Identifier: Apache-2.0
"""Families exported by the projects themselves, with random weights; each skips without its package."""
