# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of people: their joints."""
