# SPDX-License-Identifier: Apache-2.0
"""A sensor's depth without its holes."""
