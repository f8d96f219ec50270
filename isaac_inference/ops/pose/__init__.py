# SPDX-License-Identifier: Apache-2.0
"""6-DoF poses: PnP from keypoints, registration on depth."""
