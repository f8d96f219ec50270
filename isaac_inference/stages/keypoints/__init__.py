# SPDX-License-Identifier: Apache-2.0
"""Output tensors of a top-down network to the keypoints of the person that its input shows."""
