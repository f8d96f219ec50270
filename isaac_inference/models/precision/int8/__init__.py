# SPDX-License-Identifier: Apache-2.0
"""int8 by symmetric Q/DQ: calibration, thresholds, and the sweep that mixes precisions."""
