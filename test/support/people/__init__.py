# SPDX-License-Identifier: Apache-2.0
"""Simulated people for tests, and a skeletons node with everything around it."""
