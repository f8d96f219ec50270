# SPDX-License-Identifier: Apache-2.0
"""Which ways to read a detector's outputs fit their shapes, types and names, what the graph does to make them, and,
where all that leaves a choice, the numbers of one run.
"""
