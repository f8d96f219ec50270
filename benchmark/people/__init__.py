# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of people: what their keypoints cost, and their joints."""
