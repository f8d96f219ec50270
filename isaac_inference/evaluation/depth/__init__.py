# SPDX-License-Identifier: Apache-2.0
"""Dense depth and disparity against a known truth."""
