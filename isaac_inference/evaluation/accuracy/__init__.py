# SPDX-License-Identifier: Apache-2.0
"""Answers against a known truth: AP, ADD(-S), tracking errors, throughput, and their plots."""
