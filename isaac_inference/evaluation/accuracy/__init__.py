# SPDX-License-Identifier: Apache-2.0
"""Output against ground truth: AP, ADD(-S), tracking errors, throughput, and their plots."""
