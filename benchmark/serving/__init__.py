# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of many cameras and many models on one machine."""
