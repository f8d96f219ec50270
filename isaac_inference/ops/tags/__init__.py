# SPDX-License-Identifier: Apache-2.0
"""Printed square tags (AprilTag, ArUco) in an image: which they are, and where their corners are."""
