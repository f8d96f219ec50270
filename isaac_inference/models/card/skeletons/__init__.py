# SPDX-License-Identifier: Apache-2.0
"""How the keypoints of people hang together: the published skeletons by name, and what a card says of another."""
