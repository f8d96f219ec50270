# SPDX-License-Identifier: Apache-2.0
"""Graphs of more than one network: what is behind a detector, and what makes its depth."""
