# SPDX-License-Identifier: Apache-2.0
"""The node that compares a pipeline's frames with a latency budget and a rate."""
