# SPDX-License-Identifier: Apache-2.0
"""Networks for stereo and for completion: tiny ones, and what plays the node that runs them."""
