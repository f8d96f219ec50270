# SPDX-License-Identifier: Apache-2.0
"""Networks that find the keypoints of the one person in their picture: which outputs are such, and whether they fit."""
