# SPDX-License-Identifier: Apache-2.0
"""Depth from one camera and a network."""
