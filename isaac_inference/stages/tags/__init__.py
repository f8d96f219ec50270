# SPDX-License-Identifier: Apache-2.0
"""Objects with printed tags in an image, as a detector with keypoints gives them."""
