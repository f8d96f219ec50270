# SPDX-License-Identifier: Apache-2.0
"""A class for each pixel: from a network's scores to a mask in source pixels."""
