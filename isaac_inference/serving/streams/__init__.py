# SPDX-License-Identifier: Apache-2.0
"""Several streams of frames into one model: the newest of each, whose turn it is, and what runs together."""
