# SPDX-License-Identifier: Apache-2.0
"""The skeletons node: what is made of people's keypoints."""
