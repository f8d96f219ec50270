# SPDX-License-Identifier: Apache-2.0
"""Lists of class names that many public models share, for segmentation; COCO's are in `labels`."""
