# SPDX-License-Identifier: Apache-2.0
"""The pose node: detections to 6-DoF poses."""
