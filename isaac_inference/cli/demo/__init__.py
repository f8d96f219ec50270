# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference demo`: the whole graph on a simulated scene, on video."""
